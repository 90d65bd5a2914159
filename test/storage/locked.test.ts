import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import Database from "better-sqlite3";
import { eventually } from "../support/eventually.ts";
import { startProcess } from "../support/processes.ts";
import { startService } from "../support/service.ts";
import { assertNothingLost, assertRefusals, startPosting } from "./posting.ts";

test("a file locked by another program for 3 s: calls wait and are answered 200, and mail goes on", async (t) => {
  const service = await startService();
  const posting = startPosting(t, service);
  await service.client.reports(3, 60_000);
  const other = lock(service.folder);
  await pause(3000);
  other.close();
  await posting.acceptedMore(10);
  await posting.stop();
  assert.deepEqual([...posting.refused], []);
  await assertNothingLost(service, posting);
  await service.stop();
});

test("a file locked for longer than calls wait: 503 and a log line; afterwards all goes on by itself", async (t) => {
  const service = await startService();
  const { dispatchers, reporter } = service.processes;
  const posting = startPosting(t, service);
  await service.client.reports(3, 60_000);
  const other = lock(service.folder);
  await posting.firstRefusal();
  const busy = (proc: { log: { event?: string }[] } | undefined) =>
    proc?.log.some(({ event }) => event === "storage_busy");
  await eventually(
    () => busy(dispatchers[0]) && busy(reporter),
    30_000,
    "a line of the dispatcher and of the reporter",
  );
  other.close();
  await posting.acceptedMore(10);
  await posting.stop();
  assertRefusals(posting, /^the database file is locked by another program$/);
  await assertNothingLost(service, posting);
  assert.deepEqual(new Set(await service.stop()), new Set([0]));
});

test("processes started while the file is locked wait for it", async () => {
  const service = await startService();
  const other = lock(service.folder);
  const started = await Promise.all(
    (["api", "dispatcher", "reporter"] as const).map((kind) => startProcess(kind, { folder: service.folder })),
  );
  await pause(3000);
  for (const proc of started)
    assert.equal(
      proc.log.some(({ event }) => event === "listening"),
      false,
    );
  other.close();
  for (const proc of started) await proc.listening();
  for (const proc of started) assert.equal((await proc.stop()).code, 0);
  await service.stop();
});

/** Closing it gives the lock back. */
function lock(folder: string): Database.Database {
  const db = new Database(join(folder, "mail.db"), { timeout: 30_000 });
  db.exec("BEGIN EXCLUSIVE");
  return db;
}
