import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type CachedFile, createAttachmentCache, openCached } from "@async-mail/dispatcher/attachments/cache";
import { SourceBroken } from "@async-mail/dispatcher/attachments/remote-source";
import { START_MS } from "../../../support/clock.ts";
import { NO_MOUNT, smallDisk } from "../../../support/small-disk.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const HOUR_MS = 3_600_000;
const folderOf = () => join(temporaryFolder(), "kept");

function cacheIn(folder: string, more: { bootId?: string; maxBytes?: number } = {}) {
  return createAttachmentCache({ folder, bootId: "boot", maxBytes: 1_000_000, maxAgeMs: HOUR_MS, ...more });
}

async function* bytesOf(...pieces: (string | Error)[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    if (piece instanceof Error) throw piece;
    yield Buffer.from(piece);
  }
}

function textIn({ path, offset, bytes }: CachedFile): string {
  return readFileSync(path).toString("utf8", offset, offset + bytes);
}

const HEAD = { validator: { etag: '"1"' }, askedMs: START_MS, expectedBytes: 0 };
const FOUND = { validator: HEAD.validator, askedMs: START_MS };

describe("the cache of fetched attachments", () => {
  it("finds what was stored, with its validator and the moment it was asked for", async () => {
    const cache = cacheIn(folderOf());
    assert.equal(await cache.find("a", START_MS), null);
    const file = await cache.store("a", HEAD, bytesOf("line\n", "", "two"));
    assert.equal(textIn(file), "line\ntwo");
    assert.deepEqual(await cache.find("a", START_MS), { ...file, ...FOUND });
    assert.equal(await cache.find("b", START_MS), null);
  });

  it("is for its owner's eyes alone, and names no source", async () => {
    const folder = folderOf();
    const { path } = await cacheIn(folder).store("https://user:secret@example.com/", HEAD, bytesOf("x"));
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.doesNotMatch(path + readFileSync(path, "latin1"), /secret|example\.com/);
  });

  it("keeps nothing of what broke off, and what it had before", async () => {
    const folder = folderOf();
    const cache = cacheIn(folder);
    const before = await cache.store("a", HEAD, bytesOf("whole"));
    const broken = cache.store("a", { ...HEAD, askedMs: START_MS + 1 }, bytesOf("ha", new SourceBroken("cut")));
    await assert.rejects(broken, SourceBroken);
    assert.equal(textIn(before), "whole");
    assert.equal(readdirSync(folder).length, 1);
  });

  it("is the same for another dispatcher, and is not believed after a reboot: it was never synced", async () => {
    const folder = folderOf();
    const file = await cacheIn(folder).store("a", HEAD, bytesOf("x"));
    assert.deepEqual(await cacheIn(folder).find("a", START_MS), { ...file, ...FOUND });
    assert.equal(await cacheIn(folder, { bootId: "next" }).find("a", START_MS), null);
  });

  it("takes a confirmation as asked again", async () => {
    const cache = cacheIn(folderOf());
    await cache.store("a", HEAD, bytesOf("x"));
    await cache.confirm((await cache.find("a", START_MS))!, START_MS + 5_000);
    assert.equal((await cache.find("a", START_MS))?.askedMs, START_MS + 5_000);
  });

  it("never hands out another file than the one that was fetched, even where that was replaced", async () => {
    const cache = cacheIn(folderOf());
    const first = await cache.store("a", HEAD, bytesOf("first"));
    await (await openCached(first))?.close();
    await cache.store("a", { ...HEAD, askedMs: START_MS + 1 }, bytesOf("other"));
    assert.equal(await openCached(first), null);
    await cache.confirm({ ...first, ...FOUND }, START_MS + 9_000);
    assert.equal((await cache.find("a", START_MS))?.askedMs, START_MS + 1, "the other was not confirmed");
  });

  it("takes a damaged entry for none", async () => {
    const cache = cacheIn(folderOf());
    const { path } = await cache.store("a", HEAD, bytesOf("x"));
    const whole = readFileSync(path, "utf8");
    for (const text of ["", "no head", "{}", "\n\n", "\0\0\0\0\0\0\0\0", whole.slice(0, -1), `${whole}x`]) {
      writeFileSync(path, text);
      assert.equal(await cache.find("a", START_MS), null, JSON.stringify(text));
    }
  });

  it("may be removed at any time: whoever reads reads on, and the next is stored anew", async () => {
    const folder = folderOf();
    const cache = cacheIn(folder);
    const { path, offset } = await cache.store("a", HEAD, bytesOf("still here"));
    const handle = await open(path);
    rmSync(folder, { recursive: true });
    assert.equal((await handle.readFile({ encoding: "utf8" })).slice(offset), "still here");
    await handle.close();
    assert.equal(await cache.find("a", START_MS), null);
    assert.equal(textIn(await cache.store("a", HEAD, bytesOf("again"))), "again");
  });
});

describe("a second key", () => {
  const alsoKey = () => "same";

  it("finds the file too, and the other one when that has come", async () => {
    const cache = cacheIn(folderOf());
    const first = await cache.store("a", { ...HEAD, alsoKey }, bytesOf("first"));
    const found = await cache.find("same", START_MS);
    assert.deepEqual({ ...found, path: first.path }, { ...first, ...FOUND });
    assert.equal(textIn(found!), "first");
    await cache.store("b", { ...HEAD, alsoKey }, bytesOf("second"));
    assert.equal(textIn((await cache.find("same", START_MS))!), "second");
    assert.equal(await openCached(found!), null, "it is another one by now");
    assert.equal(textIn((await cache.find("a", START_MS))!), "first");
  });

  it("stays with its file where the first one leads to another", async () => {
    const cache = cacheIn(folderOf());
    await cache.store("a", { ...HEAD, alsoKey }, bytesOf("first"));
    await cache.store("a", HEAD, bytesOf("second"));
    assert.equal(textIn((await cache.find("same", START_MS))!), "first");
    assert.equal(textIn((await cache.find("a", START_MS))!), "second");
  });

  it("is asked for when all has come, and of what broke off never", async () => {
    const folder = folderOf();
    const cache = cacheIn(folder);
    const broken = cache.store("a", { ...HEAD, alsoKey: () => assert.fail() }, bytesOf("ha", new SourceBroken("cut")));
    await assert.rejects(broken, SourceBroken);
    let come = false;
    async function* body() {
      yield Buffer.from("x");
      come = true;
    }
    await cache.store("a", { ...HEAD, alsoKey: () => `${come}` }, body());
    assert.ok(await cache.find("true", START_MS));
    assert.equal(readdirSync(folder).length, 2, "nothing half done is left");
  });

  it("that cannot be had costs no file", async () => {
    const folder = folderOf();
    const cache = cacheIn(folder);
    const { path } = await cache.store("same", HEAD, bytesOf("x"));
    rmSync(path);
    mkdirSync(path);
    assert.equal(textIn(await cache.store("a", { ...HEAD, alsoKey }, bytesOf("kept"))), "kept");
    assert.equal(readdirSync(folder).length, 2, "nothing half done is left");
  });

  it("takes no room of its own, and goes with its file", async () => {
    const folder = folderOf();
    const cache = cacheIn(folder, { maxBytes: 2_500 });
    for (const [index, key] of ["a", "b"].entries()) {
      const head = { ...HEAD, askedMs: START_MS + index, alsoKey: () => `also ${key}` };
      await cache.store(key, head, bytesOf("x".repeat(1_000)));
    }
    await cache.sweep(START_MS + 10);
    assert.equal(readdirSync(folder).length, 4, "both are there, by either name");
    await cache.store("c", { ...HEAD, askedMs: START_MS + 2 }, bytesOf("x".repeat(1_000)));
    await cache.sweep(START_MS + 10);
    assert.equal(readdirSync(folder).length, 3);
    assert.equal(await cache.find("also a", START_MS), null);
    assert.ok(await cache.find("also b", START_MS));
    await cache.sweep(START_MS + 2 * HOUR_MS);
    assert.deepEqual(readdirSync(folder), []);
  });

  it("keeps its file when it is used", async () => {
    const cache = cacheIn(folderOf());
    await cache.store("a", { ...HEAD, alsoKey }, bytesOf("x"));
    await cache.find("same", START_MS + HOUR_MS);
    await cache.sweep(START_MS + 1.5 * HOUR_MS);
    assert.ok(await cache.find("a", START_MS + 1.5 * HOUR_MS));
  });
});

describe("sweeping", () => {
  it("removes what is too old, and leaves what is not its own", async () => {
    const folder = folderOf();
    const cache = cacheIn(folder);
    await cache.store("old", HEAD, bytesOf("x"));
    const young = await cache.store("young", { ...HEAD, askedMs: START_MS + HOUR_MS }, bytesOf("x"));
    const others = join(folder, "README");
    writeFileSync(others, "");
    utimesSync(others, 1, 1);
    await cache.sweep(START_MS + HOUR_MS + 1);
    assert.deepEqual(readdirSync(folder).sort(), [young.path.split("/").at(-1), "README"].sort());
  });

  it("removes the longest unasked of what is too much", async () => {
    const cache = cacheIn(folderOf(), { maxBytes: 2_500 });
    for (const [index, key] of ["a", "b", "c"].entries())
      await cache.store(key, { ...HEAD, askedMs: START_MS + index }, bytesOf("x".repeat(1_000)));
    await cache.confirm((await cache.find("a", START_MS))!, START_MS + 10);
    await cache.sweep(START_MS + 20);
    assert.deepEqual(
      [await cache.find("a", START_MS), await cache.find("b", START_MS), await cache.find("c", START_MS)].map(Boolean),
      [true, false, true],
    );
  });

  it("keeps what was used lately, however long ago it was fetched", async () => {
    const cache = cacheIn(folderOf());
    await cache.store("a", HEAD, bytesOf("x"));
    await cache.find("a", START_MS + HOUR_MS);
    await cache.sweep(START_MS + 1.5 * HOUR_MS);
    assert.equal((await cache.find("a", START_MS + 1.5 * HOUR_MS))?.askedMs, START_MS);
  });

  it("leaves what is being written, and goes on after what it cannot remove", async () => {
    const folder = folderOf();
    const cache = cacheIn(folder, { maxBytes: 10 });
    const { path } = await cache.store("a", HEAD, bytesOf("x".repeat(100)));
    const part = `${path}.${"a".repeat(36)}.part`;
    writeFileSync(part, "x".repeat(100));
    utimesSync(part, START_MS / 1000, START_MS / 1000);
    assert.equal(await cache.sweep(START_MS), null);
    assert.deepEqual([existsSync(path), existsSync(part)], [false, true]);

    mkdirSync(path); // which no rm of a file removes
    utimesSync(path, START_MS / 1000, START_MS / 1000);
    const other = await cache.store("b", { ...HEAD, askedMs: START_MS + 1 }, bytesOf("x"));
    assert.match((await cache.sweep(START_MS + 2)) ?? "", /EISDIR|ERR_FS_EISDIR|directory/);
    assert.equal(existsSync(other.path), false);
  });

  it("comes by itself before much is added", async () => {
    const folder = folderOf();
    const cache = cacheIn(folder, { maxBytes: 10_000 });
    for (let index = 0; index < 30; index++)
      await cache.store(`${index}`, { ...HEAD, askedMs: START_MS + index }, bytesOf("x".repeat(1_000)));
    const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    assert.ok(bytes < 15_000, `${bytes} bytes`);
  });

  it("removes what a dispatcher that died had not finished", async () => {
    const folder = folderOf();
    mkdirSync(folder, { recursive: true });
    const part = join(folder, `${"0".repeat(64)}.${"a".repeat(8)}-${"b".repeat(27)}.part`);
    writeFileSync(part, "half");
    utimesSync(part, START_MS / 1000, START_MS / 1000);
    const cache = cacheIn(folder);
    await cache.sweep(START_MS + HOUR_MS);
    assert.ok(existsSync(part), "another may be writing it");
    await cache.sweep(START_MS + 3 * HOUR_MS);
    assert.ok(!existsSync(part));
  });
});

describe("the disk", () => {
  it("is not filled up: what there is no room for is fetched later, what there is room for now", async (t) => {
    const disk = smallDisk(200);
    if (!disk) return t.skip(NO_MOUNT);
    t.after(disk.remove);
    const cache = cacheIn(join(disk.folder, "kept"), { maxBytes: 1e9 });
    const megabytes = 1024 * 1024;
    async function* file() {
      for (let piece = 0; piece < 20; piece++) yield Buffer.alloc(megabytes);
    }
    const stores = Array.from({ length: 12 }, (_, n) =>
      cache.store(`${n}`, { ...HEAD, expectedBytes: 20 * megabytes }, file()),
    );
    const settled = await Promise.allSettled(stores);
    const kept = settled.filter(({ status }) => status === "fulfilled").length;
    assert.ok(kept >= 6 && kept <= 7, `${kept} of 12`);
    const { bavail, bsize } = statfsSync(disk.folder);
    assert.ok(bavail * bsize >= 45 * megabytes, `${bavail * bsize} bytes left`);
    for (const one of settled) if (one.status === "rejected") assert.match(String(one.reason), /no room/);
    // What is kept goes for what is wanted now.
    const later = { ...HEAD, askedMs: START_MS + 1, expectedBytes: 20 * megabytes };
    assert.equal((await cache.store("later", later, file())).bytes, 20 * megabytes);
  });
});
