import assert from "node:assert/strict";
import { copyFileSync, existsSync, renameSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { eventually } from "../support/eventually.ts";
import { startService } from "../support/service.ts";
import { assertNothingLost, assertRefusals, startPosting } from "./posting.ts";

for (const [name, files] of [
  ["the database file", ["mail.db"]],
  ["the database file with its log", ["mail.db", "mail.db-wal", "mail.db-shm"]],
] as const)
  test(`${name} is moved away and put back: 503 and a log line meanwhile, then all goes on by itself`, async (t) => {
    const service = await startService();
    const { api, dispatchers, reporter } = service.processes;
    const posting = startPosting(t, service);
    await service.client.reports(3, 60_000);
    const path = (file: string) => join(service.folder, file);
    for (const file of files) renameSync(path(file), path(`${file}.away`));
    await posting.firstRefusal();
    assert.equal((await service.api.get("/readyz")).status, 503);
    const told = (proc: { stdout(): string } | undefined) => proc?.stdout().includes("the database file is missing");
    for (const proc of [api, dispatchers[0], reporter])
      await eventually(() => told(proc), 30_000, `a line of ${proc?.kind}`);
    assert.equal(existsSync(path("mail.db")), false, "nobody makes another");

    for (const file of files) renameSync(path(`${file}.away`), path(file));
    await posting.acceptedMore(10);
    await posting.stop();
    assertRefusals(posting, /the database file is missing/);
    await assertNothingLost(service, posting);
    assert.deepEqual(new Set(await service.stop()), new Set([0]));
  });

test("another file in the place of the one in use: every process ends with a sentence, and the file is left alone", async (t) => {
  const service = await startService();
  t.after(() => service.stop());
  const { api, dispatchers, reporter } = service.processes;
  const path = join(service.folder, "mail.db");
  copyFileSync(path, `${path}.copy`);
  renameSync(`${path}.copy`, path);
  for (const proc of [api, ...dispatchers, reporter]) {
    assert.equal((await proc.exited()).code, 1, proc.kind);
    assert.match((await proc.logged("stopping")).reason, /another database file has taken the place/);
  }
  await service.stop();
});
