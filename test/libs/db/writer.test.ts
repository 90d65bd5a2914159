import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { createVault } from "@async-mail/db/sqlite/vault";
import { createWriter, type Writer } from "@async-mail/db/sqlite/writer";
import { StorageBusy } from "@async-mail/db/store";
import Database from "better-sqlite3";
import { keysBeside, type TemporaryStore, temporaryStore } from "../../support/database.ts";

const NOW = { wallMs: 0, steadyMs: 0 };

let file: TemporaryStore;
let db: Database.Database;
let writer: Writer;
/** Commits, as the file's other connections count them. */
let commits: () => number;

const vault = () => createVault(db, keysBeside(file.path));

beforeEach(async () => {
  file = await temporaryStore();
  db = new Database(file.path, { timeout: 20 });
  db.exec("CREATE TABLE notes (text TEXT CHECK (text <> 'bad'))");
  writer = createWriter(db, vault());
  const watcher = new Database(file.path);
  const version = watcher.prepare<[], number>("PRAGMA data_version").pluck();
  const first = version.get()!;
  commits = () => version.get()! - first;
});

afterEach(async () => {
  db.close();
  await file.close();
});

const note = (text: string) => writer.write(NOW, (tx) => void tx.db.prepare("INSERT INTO notes VALUES (?)").run(text));
const notes = () => db.prepare("SELECT text FROM notes ORDER BY rowid").pluck().all();

describe("writes asked for in one turn of the event loop", () => {
  it("share one commit", async () => {
    await Promise.all(["a", "b", "c"].map(note));
    assert.deepEqual(notes(), ["a", "b", "c"]);
    assert.equal(commits(), 1);
  });

  it("do not share a fault: the one that throws is rolled back alone", async () => {
    const outcomes = await Promise.allSettled(["a", "bad", "c"].map(note));
    assert.deepEqual(
      outcomes.map((one) => one.status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.deepEqual(notes(), ["a", "c"]);
  });

  it("are all answered after a fault, and the next ones are grouped again", async () => {
    await Promise.allSettled(["bad", "bad", "a"].map(note));
    const before = commits();
    await Promise.all(["b", "c"].map(note));
    assert.deepEqual(notes(), ["a", "b", "c"]);
    assert.equal(commits() - before, 1);
  });
});

describe("a file locked by another program", () => {
  it("is waited for without stopping the event loop", async () => {
    const other = new Database(file.path);
    other.exec("BEGIN IMMEDIATE");
    let ticks = 0;
    const ticking = setInterval(() => {
      ticks += 1;
      if (ticks === 5) other.exec("COMMIT");
    }, 10);
    await note("a");
    clearInterval(ticking);
    assert.equal(ticks, 5);
    assert.ok(writer.busy().retries > 0);
    assert.ok(writer.busy().ms >= 40);
    other.close();
  });

  it("ends in StorageBusy after the deadline, with nothing written", async () => {
    const impatient = createWriter(db, vault(), { deadlineMs: 50 });
    const other = new Database(file.path);
    other.exec("BEGIN IMMEDIATE");
    await assert.rejects(
      impatient.write(NOW, (tx) => tx.db.exec("DELETE FROM notes")),
      StorageBusy,
    );
    other.exec("ROLLBACK");
    other.close();
    await note("a");
    assert.deepEqual(notes(), ["a"]);
  });
});
