import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import Database from "better-sqlite3";
import { startProcess } from "../support/processes.ts";
import { startService } from "../support/service.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const KINDS = ["api", "dispatcher", "reporter"] as const;

const cases: { what: string; make(path: string): void; said: RegExp }[] = [
  {
    what: "a file that is no database",
    make: (path) => writeFileSync(path, "These are my notes, and nobody's mail. ".repeat(100)),
    said: /mail\.db is not a SQLite database: it was left untouched/,
  },
  {
    what: "another program's database",
    make: (path) => new Database(path).exec("CREATE TABLE recipes (id)").close(),
    said: /belongs to another program \(it has the table "recipes"\)/,
  },
  {
    what: "a newer version's database",
    make: (path) => {
      const db = new Database(path);
      db.pragma("user_version = 99");
      db.close();
    },
    said: /has schema 99, this program knows \d+/,
  },
  { what: "a folder", make: (path) => mkdirSync(path), said: /mail\.db cannot be made: .*EISDIR|cannot be used/ },
];

for (const { what, make, said } of cases)
  test(`${what} in the database's place: each process refuses to start, with one sentence, and leaves it alone`, async () => {
    const folder = temporaryFolder();
    const path = join(folder, "mail.db");
    make(path);
    const content = () => (statSync(path).isDirectory() ? null : readFileSync(path, "base64"));
    const before = content();
    for (const proc of await Promise.all(KINDS.map((kind) => startProcess(kind, { folder })))) {
      assert.equal((await proc.exited()).code, 1);
      const { reason } = await proc.logged("stopped");
      assert.match(reason, said);
      assert.doesNotMatch(proc.stdout(), /"stack"|nobody caught/, "no riddle for the operator");
    }
    assert.equal(content(), before);
    for (const suffix of ["-wal", "-shm"]) assert.equal(existsSync(path + suffix), false, suffix);
  });

test("a newer version changes the schema while processes run: each ends with a sentence, and claims nothing more", async (t) => {
  const service = await startService({ config: "[delivery]\nlease_seconds = 2\n" });
  t.after(() => service.stop());
  const { api, dispatchers, reporter } = service.processes;
  const newer = new Database(join(service.folder, "mail.db"), { timeout: 10_000 });
  newer.pragma("user_version = 99");
  newer.close();
  for (const proc of [api, ...dispatchers, reporter]) {
    assert.equal((await proc.exited()).code, 1, proc.kind);
    assert.match((await proc.logged("stopping")).reason, /has schema 99.*newer version/);
  }
  await service.stop();
});
