import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { eventually, gate } from "../support/eventually.ts";
import { aMessage } from "../support/messages.ts";
import { type Service, startService } from "../support/service.ts";
import { NO_MOUNT, smallDisk } from "../support/small-disk.ts";
import { assertNothingLost, assertRefusals, startPosting } from "./posting.ts";

const disk = smallDisk(20);

test("a disk that fills up and is freed: 503 meanwhile, nothing lost, nothing sent twice, all goes on", async (t) => {
  if (!disk) return t.skip(`${NO_MOUNT}; the next test fails the writes without a mount`);
  t.after(disk.remove);
  const service = await startService({ env: { DB_PATH: join(disk.folder, "mail.db") } });
  await throughFault(t, service, {
    // Some is left, lest what is written meanwhile be in the way.
    begin: () => disk.putBallast(-1024 * 1024),
    end: () => disk.removeBallast(),
  });
});

test("a system that lets no file grow, and then does: 503 meanwhile, nothing lost, nothing sent twice", async (t) => {
  if (!canLimitFiles())
    return t.skip("prlimit is not here: only Linux has it, and nothing else limits a process that runs");
  // /readyz says 503 when half a lease has passed without a write.
  const service = await startService({ config: "[delivery]\nlease_seconds = 10\n" });
  const { api, dispatchers, reporter } = service.processes;
  const limit = (size: string) => {
    for (const { pid } of [api, ...dispatchers, reporter]) limitFiles(pid, size);
  };
  await throughFault(t, service, { begin: () => limit("1:unlimited"), end: () => limit("unlimited") });
});

async function throughFault(t: TestContext, service: Service, fault: { begin(): void; end(): void }): Promise<void> {
  // Under way when it begins: sent, and not to be noted.
  const begun = gate();
  const answer = gate();
  service.smtp.script = {
    onData: async (message) => {
      if (message.to[0] !== "under-way@example.org") return undefined;
      begun.open();
      await answer.opened;
      return undefined;
    },
  };
  const posting = startPosting(t, service, { body: "x".repeat(5000) });
  await service.client.reports(3, 60_000);
  await service.api.addMessages(aMessage({ id: "under-way", to: "under-way@example.org" }));
  posting.accepted.push("under-way");
  await begun.opened;

  fault.begin();
  await posting.firstRefusal();
  answer.open();
  await eventually(async () => (await service.api.get("/readyz")).status === 503, 30_000, "the api not ready");
  // Not of every process: small writes may still find room in the log.
  const told = () => service.processes.api.log.some(({ event }) => event === "storage_unavailable");
  await eventually(told, 30_000, "a line of the api");
  assert.equal((await service.api.get("/livez")).status, 200);
  assert.equal(
    (await service.api.get(`/messages/${posting.accepted[0]}`)).status,
    200,
    "what was accepted can be read",
  );

  fault.end();
  await posting.acceptedMore(10);
  await posting.stop();
  await eventually(async () => (await service.api.get("/readyz")).status === 200, 30_000, "the api ready");
  assertRefusals(posting, /^(the database file cannot be used|the disk of the database is nearly full): /);
  await assertNothingLost(service, posting);
  assert.deepEqual(new Set(await service.stop()), new Set([0]));
}

function canLimitFiles(): boolean {
  try {
    limitFiles(process.pid, "");
    return true;
  } catch {
    return false;
  }
}

/** No size: asks for it. */
function limitFiles(pid: number, size: string): void {
  execFileSync("prlimit", ["--pid", String(pid), size === "" ? "--fsize" : `--fsize=${size}`], { stdio: "ignore" });
}
