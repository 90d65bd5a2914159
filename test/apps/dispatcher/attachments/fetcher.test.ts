import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createAttachmentCache } from "@async-mail/dispatcher/attachments/cache";
import { createEndpointSource } from "@async-mail/dispatcher/attachments/fetch-endpoint";
import { createUrlSource } from "@async-mail/dispatcher/attachments/fetch-url";
import { createFetcher, type FetchAnswer } from "@async-mail/dispatcher/attachments/fetcher";
import { createRoom } from "@async-mail/dispatcher/attachments/room";
import { createSlots } from "@async-mail/dispatcher/attachments/slots";
import { createEgress, publicAddressesOnly } from "@async-mail/runtime/egress";
import { START_MS } from "../../../support/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import {
  bytes,
  chunked,
  cut,
  endless,
  gzipBomb,
  held,
  inTurn,
  slow,
  versioned,
} from "../../../support/file-answers.ts";
import { type FileAnswer, startFileServer } from "../../../support/file-server.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const MAX_BYTES = 1_000_000;
type Asked = { sinceMs?: number; tenant?: string; name?: string; md5?: string; authorization?: string | null };
type Options = { timeoutMs?: number; each?: number; folder?: string; bytesAtOnce?: number };

/** A fetcher as fetch.worker.ts builds it, before a real file server, with a clock that the test moves. */
async function start(t: TestContext, files: Record<string, FileAnswer>, options: Options = {}) {
  const { timeoutMs = 10_000, each = 8, folder = join(temporaryFolder(), "kept"), bytesAtOnce = 10_000_000 } = options;
  const server = await startFileServer(files);
  const egress = createEgress({
    mayReach: publicAddressesOnly(["127.0.0.1"]),
    connectTimeoutMs: 5_000,
    connectionsPerOrigin: 8,
  });
  t.after(() => Promise.all([egress.destroy(), server.close()]));
  const urls = createUrlSource({ egress, maxBytes: MAX_BYTES });
  const clients = createEndpointSource({ egress, maxBytes: MAX_BYTES });
  const clock = { ms: START_MS };
  const room = createRoom(bytesAtOnce);
  const fetcher = createFetcher({
    cache: createAttachmentCache({ folder, bootId: "boot", maxBytes: 10_000_000, maxAgeMs: 3_600_000 }),
    refusal: (source) => (source.kind === "s3" ? "not allowed" : null),
    s3Endpoint: null,
    open: ({ source, name }, known, signal) => {
      if (source.kind === "s3") throw new Error("it was refused");
      return source.kind === "url" ? urls.open(source, known, signal) : clients.open({ ...source, name }, signal);
    },
    maxBytes: MAX_BYTES,
    timeoutMs,
    tenantSlots: createSlots({ each: 32, all: 1000 }),
    slots: createSlots({ each, all: 64 }),
    room,
    now: () => clock.ms,
  });
  const fetch = (path: string, { authorization = null, ...rest }: Asked = {}) => {
    const task = { tenant: "default", name: "a.bin", md5: null, sinceMs: clock.ms, ...rest };
    return fetcher.bring({ ...task, source: { kind: "url", url: server.url(path), authorization } });
  };
  /** From the server as a tenant's client. */
  const post = (path: string, { authorization = null, ...rest }: Asked = {}) => {
    const task = { tenant: "default", name: "a.bin", md5: null, sinceMs: clock.ms, ...rest };
    return fetcher.bring({ ...task, source: { kind: "endpoint", url: server.url("/files"), path, authorization } });
  };
  return { server, clock, room, folder, fetch, post, bring: fetcher.bring };
}

async function textOf(answer: FetchAnswer): Promise<string> {
  assert.ok(answer.ok, JSON.stringify(answer));
  const { path, offset, bytes: length } = answer.file;
  return (await readFile(path)).toString("utf8", offset, offset + length);
}

function assertFailed(answer: FetchAnswer, permanent: boolean, reason: RegExp): void {
  assert.ok(!answer.ok, "it was fetched");
  assert.match(answer.reason, reason);
  assert.equal(answer.permanent, permanent);
}

describe("a fetcher", () => {
  it("asks once for what many want at the same time", async (t) => {
    const release = Promise.withResolvers<void>();
    const { server, fetch } = await start(t, { "/a": held(release.promise, bytes("text")) });
    const answers = Promise.all([fetch("/a"), fetch("/a"), fetch("/a")]);
    release.resolve();
    for (const answer of await answers) assert.equal(await textOf(answer), "text");
    assert.equal(server.count("/a"), 1);
    assert.deepEqual((await answers).map((one) => one.ok && one.how).sort(), ["cached", "cached", "fetched"]);
  });

  it("asks anew for a message that was accepted after the others' request began", async (t) => {
    const release = Promise.withResolvers<void>();
    const { server, clock, fetch } = await start(t, {
      "/a": inTurn(held(release.promise, bytes("old")), bytes("new")),
    });
    const first = fetch("/a");
    await eventually(() => server.count("/a") === 1);
    clock.ms += 1;
    const second = fetch("/a");
    assert.equal(await textOf(await second), "new");
    release.resolve();
    assert.equal(await textOf(await first), "old");
    assert.equal(server.count("/a"), 2);
  });

  it("does not ask again for a message that was accepted before, however late it comes", async (t) => {
    const { server, clock, fetch } = await start(t, { "/a": inTurn(bytes("one"), bytes("two")) });
    await fetch("/a");
    clock.ms += 1_000_000;
    assert.equal(await textOf(await fetch("/a", { sinceMs: START_MS })), "one");
    assert.equal(server.count("/a"), 1);
    assert.equal(await textOf(await fetch("/a")), "two");
  });

  it("takes an unchanged file as asked for now", async (t) => {
    const { server, clock, fetch } = await start(t, { "/a": versioned("text", { etag: '"1"' }) });
    await fetch("/a");
    clock.ms += 1000;
    for (let time = 0; time < 3; time++) assert.equal(await textOf(await fetch("/a")), "text");
    assert.equal(server.count("/a"), 2);
  });

  it("believes nothing that was asked for in the future: the clock was set back", async (t) => {
    const { server, clock, fetch } = await start(t, { "/a": bytes("text") });
    await fetch("/a");
    clock.ms -= 60_000;
    await fetch("/a");
    assert.equal(server.count("/a"), 2);
  });

  it("fetches nothing that is larger than it may be, whatever its server says", async (t) => {
    const large = Buffer.alloc(MAX_BYTES + 1);
    const { server, fetch } = await start(t, {
      "/declared": bytes(large),
      "/undeclared": chunked(large),
      "/endless": endless,
      "/bomb": gzipBomb(100_000_000),
      "/largest": bytes(large.subarray(1)),
    });
    for (const path of ["/declared", "/undeclared", "/endless", "/bomb"])
      assertFailed(await fetch(path), true, /max_bytes/);
    assert.equal((await textOf(await fetch("/largest"))).length, MAX_BYTES);
    await server.idle();
  });

  it("waits for its turn at a host, and for so long only", async (t) => {
    const forever = slow(60_000, bytes(""));
    const files = { "/1": forever, "/2": forever, "/3": forever, "/quick": bytes("quick") };
    const { fetch } = await start(t, files, { each: 1, timeoutMs: 500 });
    const answers = await Promise.all([fetch("/1"), fetch("/2"), fetch("/3")]);
    for (const answer of answers) assertFailed(answer, false, /^(not done|its turn did not come) within 0\.5 s/);
    assert.ok(answers.some((answer) => !answer.ok && answer.reason.startsWith("its turn")));
    assert.equal(await textOf(await fetch("/quick")), "quick");
  });

  it("waits for room for what is announced, which is there again when it has come", async (t) => {
    const release = Promise.withResolvers<void>();
    const slowly: FileAnswer = (_, response) => {
      response.writeHead(200, { "content-length": 90 }).write("x");
      void release.promise.then(() => response.end("x".repeat(89)));
    };
    const files = { "/slowly": slowly, "/b": bytes("y".repeat(90)), "/c": bytes("z".repeat(90)) };
    const { server, fetch } = await start(t, files, { bytesAtOnce: 100 });
    const ended: string[] = [];
    const first = fetch("/slowly").finally(() => ended.push("first"));
    await eventually(() => server.count("/slowly") === 1);
    const second = fetch("/b").finally(() => ended.push("second"));
    await eventually(() => server.count("/b") === 1);
    await pause(100); // more than the second needs where nothing makes it wait
    release.resolve();
    assert.equal((await textOf(await first)).length, 90);
    assert.equal((await textOf(await second)).length, 90);
    assert.deepEqual(ended, ["first", "second"]);
    assert.equal((await textOf(await fetch("/c"))).length, 90);
  });

  it("brings nothing that the configuration does not allow, kept or not", async (t) => {
    const { bring } = await start(t, {});
    const source = { kind: "s3", bucket: "docs", key: "a", versionId: null, prefixes: null } as const;
    const task = { tenant: "default", name: "a", md5: null, sinceMs: START_MS };
    assertFailed(await bring({ ...task, source }), true, /^not allowed$/);
  });

  it("tries later when a file breaks off, or cannot be kept", async (t) => {
    const whole = Buffer.from("0123456789");
    const { fetch } = await start(t, { "/a": inTurn(cut(whole, 5), bytes(whole)) });
    assertFailed(await fetch("/a"), false, /cut off|Content-Length/);
    assert.equal(await textOf(await fetch("/a")), "0123456789");
    const file = join(temporaryFolder(), "file");
    writeFileSync(file, "");
    const other = await start(t, { "/a": bytes(whole) }, { folder: file });
    assertFailed(await other.fetch("/a"), false, /could not be kept on disk \(EEXIST|ENOTDIR\)/);
  });
});

describe("what a fetcher keeps for one tenant", () => {
  const text = "text";
  const md5 = createHash("md5").update(text).digest("hex");

  it("serves no other one, neither kept nor under way", async (t) => {
    const release = Promise.withResolvers<void>();
    const { server, fetch } = await start(t, { "/a": held(release.promise, bytes(text)) });
    const answers = [fetch("/a", { tenant: "a" }), fetch("/a", { tenant: "b" }), fetch("/a")];
    await eventually(() => server.count("/a") === 3);
    release.resolve();
    for (const answer of await Promise.all(answers)) assert.equal(answer.ok && answer.how, "fetched");
    for (const tenant of ["a", "b", "default"]) assert.equal(await howOf(fetch("/a", { tenant })), "cached");
    assert.equal(await howOf(fetch("/a", { tenant: "c" })), "fetched");
  });

  it("serves nobody with another login", async (t) => {
    const { server, fetch, post } = await start(t, { "/a": bytes(text), "/files": bytes(text) });
    for (const ask of [fetch, post]) {
      for (const authorization of [null, "Bearer 1", "Bearer 2"])
        assert.equal(await howOf(ask("/a", { authorization })), "fetched");
      assert.equal(await howOf(ask("/a", { authorization: "Bearer 1" })), "cached");
    }
    assert.deepEqual([server.count("/a"), server.count("/files")], [3, 3]);
  });

  it("from its client is as fresh as from elsewhere, and each path's own", async (t) => {
    const { server, clock, post } = await start(t, { "/files": bytes(text) });
    await post("x");
    assert.equal(await howOf(post("x")), "cached");
    assert.equal(await howOf(post("y")), "fetched");
    clock.ms += 1000;
    assert.equal(await howOf(post("x", { sinceMs: START_MS })), "cached");
    assert.equal(await howOf(post("x")), "fetched");
    assert.equal(server.count("/files"), 3);
  });

  it("under a name of JSON, which may be an error's text, serves no other name", async (t) => {
    const { post } = await start(t, { "/files": bytes('{"error": "log in"}') });
    assert.equal(await textOf(await post("x", { name: "a.json" })), '{"error": "log in"}');
    assertFailed(await post("x", { name: "a.pdf" }), false, /answered with an error in place of the file: "log in"$/);
  });

  it("is found by its MD5, whatever its source, without asking anybody", async (t) => {
    const { server, clock, fetch, post } = await start(t, { "/a": bytes(text), "/files": bytes("other") });
    assert.equal(await howOf(fetch("/a", { md5 })), "fetched");
    clock.ms += 1000;
    for (const again of [fetch("/a", { md5 }), fetch("/b", { md5 }), post("x", { md5, authorization: "Bearer 1" })]) {
      assert.equal(await howOf(again), "cached");
      assert.equal(await textOf(await again), text);
    }
    assert.equal(server.requests.length, 1);
    assert.equal(await howOf(fetch("/a", { md5, tenant: "other" })), "fetched");
    assert.equal(await textOf(await post("x")), "other");
  });

  it("is found by the MD5 that it has, not by the one that was said", async (t) => {
    const { server, fetch } = await start(t, { "/a": bytes(text), "/b": bytes("b") });
    const wrong = "0".repeat(32);
    assert.equal(await textOf(await fetch("/a", { md5: wrong })), text);
    assert.equal(await textOf(await fetch("/b", { md5: wrong })), "b");
    assert.equal(await howOf(fetch("/c", { md5 })), "cached");
    assert.deepEqual([server.count("/a"), server.count("/b"), server.count("/c")], [1, 1, 0]);
  });

  it("is not found by its MD5 where it may not be fetched", async (t) => {
    const { fetch, bring } = await start(t, { "/a": bytes(text) });
    await fetch("/a", { md5 });
    const source = { kind: "s3", bucket: "docs", key: "a", versionId: null, prefixes: [] } as const;
    assertFailed(await bring({ tenant: "default", name: "a", md5, source, sinceMs: START_MS }), true, /^not allowed$/);
  });
});

async function howOf(answer: Promise<FetchAnswer>): Promise<"fetched" | "cached"> {
  const settled = await answer;
  assert.ok(settled.ok, JSON.stringify(settled));
  return settled.how;
}
