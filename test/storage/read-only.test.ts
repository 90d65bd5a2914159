import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { eventually } from "../support/eventually.ts";
import { startProcess } from "../support/processes.ts";
import { startService } from "../support/service.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { assertNothingLost, assertRefusals, startPosting } from "./posting.ts";

const IS_ROOT = process.getuid?.() === 0;

test("the log made read-only: 503 and log lines meanwhile, then all goes on by itself", async (t) => {
  if (!permitted(t)) return;
  const service = await startService();
  const { dispatchers, reporter } = service.processes;
  const posting = startPosting(t, service);
  await service.client.reports(3, 60_000);
  const log = join(service.folder, "mail.db-wal");
  t.after(() => existsSync(log) && setImmutable(log, false));
  setImmutable(log, true);
  await posting.firstRefusal();
  for (const proc of [dispatchers[0], reporter])
    await eventually(
      () => proc?.log.some(({ event }) => event === "storage_unavailable"),
      30_000,
      `a line of the ${proc?.kind}`,
    );
  setImmutable(log, false);
  await posting.acceptedMore(10);
  await posting.stop();
  assertRefusals(posting, /^the database file cannot be used: /);
  await assertNothingLost(service, posting);
  assert.deepEqual(new Set(await service.stop()), new Set([0]));
});

test("the database file made read-only: what can go on does, the rest when it may be written to again", async (t) => {
  if (!permitted(t)) return;
  const service = await startService();
  const { reporter } = service.processes;
  const posting = startPosting(t, service);
  await service.client.reports(3, 60_000);
  const file = join(service.folder, "mail.db");
  t.after(() => setImmutable(file, false));
  setImmutable(file, true);
  // Nothing can be brought from the log into the file: the reporter tells, mail is kept in the log.
  await eventually(
    () => reporter.log.some(({ event }) => event === "storage_unavailable"),
    30_000,
    "a line of the reporter",
  );
  await posting.acceptedMore(10);
  setImmutable(file, false);
  await posting.acceptedMore(10);
  await posting.stop();
  assertRefusals(posting, /^the database file cannot be used: /);
  await assertNothingLost(service, posting);
  assert.deepEqual(new Set(await service.stop()), new Set([0]));
});

for (const [name, which] of [
  ["a read-only file", "mail.db"],
  ["a read-only folder", "."],
] as const)
  test(`${name} at the start: each process refuses with one sentence`, async (t) => {
    if (IS_ROOT && !permitted(t)) return;
    const folder = temporaryFolder();
    if (which === "mail.db") writeFileSync(join(folder, which), "");
    const path = join(folder, which);
    const setReadOnly = IS_ROOT ? setImmutable : forbidWriting;
    t.after(() => setReadOnly(path, false));
    setReadOnly(path, true);
    const kinds = ["api", "dispatcher", "reporter"] as const;
    for (const proc of await Promise.all(kinds.map((kind) => startProcess(kind, { folder })))) {
      assert.equal((await proc.exited()).code, 1);
      assert.match((await proc.logged("stopped")).reason, /mail\.db.*cannot be (made|used)/);
      assert.doesNotMatch(proc.stdout(), /"stack"|nobody caught/, "no riddle for the operator");
    }
  });

/** Then neither root may write to it nor whoever has it open already. */
function setImmutable(path: string, immutable: boolean): void {
  execFileSync("chattr", [immutable ? "+i" : "-i", path], { stdio: "ignore" });
}

/** Of whoever opens it from now on. */
function forbidWriting(path: string, forbidden: boolean): void {
  chmodSync(path, forbidden ? 0o500 : 0o700);
}

function permitted(t: TestContext): boolean {
  const file = join(temporaryFolder(), "tried");
  writeFileSync(file, "");
  try {
    setImmutable(file, true);
    setImmutable(file, false);
    return true;
  } catch {
    t.skip(
      "chattr +i is not permitted here: it wants CAP_LINUX_IMMUTABLE, and file modes stop neither root nor an open file",
    );
    return false;
  }
}
