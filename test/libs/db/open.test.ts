import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { migrate, refuseOthers } from "@async-mail/db/sqlite/migrate";
import { type OpenOptions, openStore } from "@async-mail/db/sqlite/open";
import { StorageRefused, StorageUnavailable } from "@async-mail/db/store";
import Database from "better-sqlite3";
import { keysBeside } from "../../support/database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const BOOT = { bootId: "boot", monotonicMs: 1_000, wallMs: 1_800_000_000_000 };

function open(path: string, overrides: Partial<OpenOptions> = {}) {
  return openStore({ path, synchronous: "full", sandbox: false, keys: keysBeside(path), boot: BOOT, ...overrides });
}

describe("opening a store", () => {
  it("makes folders of mode 700 and files of mode 600", async () => {
    const path = join(temporaryFolder(), "new", "folder", "mail.db");
    const store = await open(path);
    assert.equal(statSync(dirname(path)).mode & 0o777, 0o700);
    for (const file of [path, `${path}-wal`, `${path}-shm`]) assert.equal(statSync(file).mode & 0o777, 0o600, file);
    await store.close();
  });

  it("works for ten processes at once on a fresh file", async () => {
    const path = join(temporaryFolder(), "mail.db");
    const script = fileURLToPath(new URL("./open-once.ts", import.meta.url));
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, () => promisify(execFile)(process.execPath, [script, path])),
    );
    for (const outcome of outcomes) assert.equal(outcome.stdout, "ok\n");
  });

  it("does not take a file for another program's while a process of ours makes its tables", async () => {
    const path = join(temporaryFolder(), "mail.db");
    const fresh = new Database(path);
    fresh.pragma("journal_mode = WAL");
    const other = new Database(path);
    const reader = new Database(path, { readonly: true });
    const prepare = reader.prepare.bind(reader);
    // The other one commits in the worst moment: after the schema's number was read, before the tables are.
    reader.prepare = ((sql: string) => {
      if (sql.includes("sqlite_schema")) other.transaction(() => migrate(other)).immediate();
      return prepare(sql);
    }) as typeof reader.prepare;
    refuseOthers(reader);
    assert.ok(Number(other.pragma("user_version", { simple: true })) > 0, "it has committed");
    for (const db of [fresh, other, reader]) db.close();
  });

  it("refuses the database of the Python service with the name of the import command, and leaves it untouched", async () => {
    const path = join(temporaryFolder(), "mail.db");
    const old = new Database(path);
    old.exec(
      "CREATE TABLE messages (id TEXT PRIMARY KEY, payload TEXT); CREATE TABLE send_log (account_id TEXT, timestamp INTEGER)",
    );
    old.close();
    const before = readFileSync(path);
    await assert.rejects(
      open(path),
      (error: Error) => error instanceof StorageRefused && /mailctl import/.test(error.message),
    );
    assert.ok(readFileSync(path).equals(before));
  });

  it("refuses another program's database, a file that is none, and a newer schema", async () => {
    const folder = temporaryFolder();
    const foreign = join(folder, "foreign.db");
    const db = new Database(foreign);
    db.exec("CREATE TABLE recipes (id)");
    db.close();
    await assert.rejects(open(foreign), /belongs to another program \(it has the table "recipes"\)/);

    const text = join(folder, "text.db");
    writeFileSync(text, "this is not a database, but long enough to be read as one ".repeat(20));
    await assert.rejects(open(text), /text\.db is not a SQLite database/);

    const newer = join(folder, "newer.db");
    await (await open(newer)).close();
    const raised = new Database(newer);
    raised.pragma("user_version = 99");
    raised.close();
    await assert.rejects(open(newer), /the database has schema 99/);
  });

  it("says when the path cannot be made", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "file"), "");
    await assert.rejects(open(join(folder, "file", "mail.db")), StorageUnavailable);
    mkdirSync(join(folder, "folder.db"));
    await assert.rejects(open(join(folder, "folder.db")), StorageUnavailable);
    await assert.rejects(open("/proc/nowhere/mail.db"), StorageUnavailable);
  });

  it("keeps the sandbox's file and the others' apart", async () => {
    const folder = temporaryFolder();
    await (await open(join(folder, "real.db"))).close();
    await assert.rejects(open(join(folder, "real.db"), { sandbox: true }), /without the sandbox/);
    await (await open(join(folder, "sandbox.db"), { sandbox: true })).close();
    await assert.rejects(open(join(folder, "sandbox.db")), /is the sandbox's/);
  });
});

describe("a file whose log is there without it", () => {
  it("is not made anew: SQLite would delete the log, and what was committed to it", async () => {
    const path = join(temporaryFolder(), "mail.db");
    const store = await open(path);
    await store.of("default").service.runNow();
    const copy = join(temporaryFolder(), "mail.db");
    copyFileSync(`${path}-wal`, `${copy}-wal`);
    await assert.rejects(
      open(copy),
      (error: Error) => error instanceof StorageRefused && /is missing though its log/.test(error.message),
    );
    assert.ok(statSync(`${copy}-wal`).size > 0);
    copyFileSync(path, copy);
    const mended = await open(copy);
    assert.equal(await mended.of("default").service.runNowCount(), 1);
    await Promise.all([store.close(), mended.close()]);
  });
});

describe("a file that is moved while it is in use", () => {
  const now = { wallMs: BOOT.wallMs, steadyMs: BOOT.wallMs };

  it("takes nothing that would be lost with it, and goes on once it is back", async () => {
    const path = join(temporaryFolder(), "mail.db");
    const store = await open(path);
    renameSync(path, `${path}.moved`);
    await assert.rejects(
      store.of("default").service.runNow(),
      (error: Error) => error instanceof StorageUnavailable && /file is missing/.test(error.message),
    );
    await assert.rejects(store.service.checkWritable(), StorageUnavailable);
    renameSync(`${path}.moved`, path);
    await store.of("default").service.runNow();
    assert.equal(await store.of("default").service.runNowCount(), 1);
    await store.close();
  });

  it("is not written to when another has taken its place", async () => {
    const path = join(temporaryFolder(), "mail.db");
    const store = await open(path);
    renameSync(path, `${path}.moved`);
    writeFileSync(path, "");
    await assert.rejects(store.processes.beat(1, now), StorageRefused);
    await store.close();
  });
});

describe("steady time", () => {
  it("is the same for all processes of a boot, and goes on after a boot though the wall clock went back", async () => {
    const path = join(temporaryFolder(), "mail.db");
    const first = await open(path);
    const now = { wallMs: BOOT.wallMs, steadyMs: BOOT.monotonicMs + first.steadyOffsetMs };
    assert.equal(now.steadyMs, BOOT.wallMs);
    const second = await open(path, { boot: { ...BOOT, monotonicMs: 5_000, wallMs: BOOT.wallMs - 7_200_000 } });
    assert.equal(second.steadyOffsetMs, first.steadyOffsetMs);

    const process = await first.processes.register({ kind: "api", pid: 1, host: "h", version: "1" }, now);
    await first.processes.beat(process, { wallMs: now.wallMs, steadyMs: now.steadyMs + 60_000 });
    const rebooted = await open(path, { boot: { bootId: "next", monotonicMs: 10, wallMs: BOOT.wallMs - 7_200_000 } });
    assert.equal(rebooted.steadyOffsetMs + 10, now.steadyMs + 60_000);
    await Promise.all([first.close(), second.close(), rebooted.close()]);
  });
});

describe("a program that meets a newer schema while it runs", () => {
  it("claims and beats no more", async () => {
    const path = join(temporaryFolder(), "mail.db");
    const store = await open(path);
    const now = { wallMs: BOOT.wallMs, steadyMs: BOOT.wallMs };
    const process = await store.processes.register({ kind: "dispatcher", pid: 1, host: "h", version: "1" }, now);
    const newer = new Database(path);
    newer.pragma("user_version = 99");
    newer.close();
    await assert.rejects(store.queue.ready(now), StorageRefused);
    await assert.rejects(store.processes.beat(process, now), StorageRefused);
    const request = { process, slots: 1, capacity: 1, bytes: 1, held: new Map(), maxConnectionsPerAccount: 1 };
    await assert.rejects(store.queue.claimDue(request, now), StorageRefused);
    await store.close();
  });
});
