/**
 * A disk of 20 MB that fills up under load and is freed: something else's file takes part of it, messages with inline
 * attachments come faster than the mail server takes them, and some time after the first 503 that other file is
 * deleted. Tells what was accepted, refused, lost and sent twice, and how long it took to recover. About a minute:
 *
 *     npm run bench:full-disk
 *     npm run bench:full-disk -- --megabytes 20 --ballast 8 --full-seconds 10
 */
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { eventually } from "../test/support/eventually.ts";
import { type Service, startService } from "../test/support/service.ts";
import { smallDisk } from "../test/support/small-disk.ts";
import { plainMessage } from "./latencies.ts";

const { values: options } = parseArgs({
  options: {
    megabytes: { type: "string", default: "20" },
    ballast: { type: "string", default: "8" },
    "full-seconds": { type: "string", default: "10" },
  },
});
const MEGABYTE = 1024 * 1024;
const CLIENTS = 4;
const ATTACHMENT = Buffer.alloc(50_000, "An attachment. ").toString("base64");
const GOES_ON_MS = 10_000;
const PATIENCE_MS = 90_000;

type Answered = { id: string; status: number; atMs: number };

const disk = smallDisk(Number(options.megabytes));
if (disk) await run(disk);
else console.log("skipped: mounting is not permitted here");

async function run(disk: NonNullable<ReturnType<typeof smallDisk>>): Promise<void> {
  disk.putBallast(Number(options.ballast) * MEGABYTE);
  const takes = { onData: () => pause(200).then(() => undefined) };
  const service = await startService({ env: { DB_PATH: join(disk.folder, "mail.db") }, smtp: { script: takes } });
  const load = startLoad(service);
  const full = await eventually(() => load.answered.find(({ status }) => status === 503), PATIENCE_MS, "a full disk");
  await pause(Number(options["full-seconds"]) * 1000);
  const freeBytes = disk.freeBytes();

  disk.removeBallast();
  const freedMs = performance.now();
  const arrivedBefore = service.smtp.messages.length;
  const isReady = async () => (await service.api.get("/readyz")).status === 200;
  const takesAgain = () => load.answered.some(({ status, atMs }) => status === 200 && atMs > freedMs);
  const sendsAgain = () => service.smtp.messages.length > arrivedBefore;
  const [ready, taken, sent] = await Promise.all(
    [isReady, takesAgain, sendsAgain].map((what) => seconds(what, freedMs)),
  );
  await pause(GOES_ON_MS);
  await load.stop();
  const accepted = load.answered.filter(({ status }) => status === 200).map(({ id }) => id);
  const isDrained = async () => (await service.api.get("/status")).body.pending_messages === 0;
  const stoppedMs = performance.now();
  const drained = await seconds(
    async () => (await isDrained()) && reported(service).size >= accepted.length,
    stoppedMs,
  );
  const freeAtEnd = disk.freeBytes();
  const { messages } = (await service.api.get("/messages?active_only=true")).body;
  const waiting = new Set(messages.map(({ id }: { id: string }) => id));
  await service.stop();

  const arrived = service.smtp.messages.map((one) => one.to[0]?.split("@")[0] ?? "");
  const once = new Set(arrived);
  const known = new Set(accepted);
  const refused = load.answered.filter(({ status }) => status === 503).length;
  console.log(
    `a disk of ${options.megabytes} MB, full for ${((freedMs - full.atMs) / 1000).toFixed(1)} s, ${freeBytes} bytes free then`,
  );
  console.log(
    `accepted ${accepted.length}, answered 503 ${refused}, answered otherwise ${load.answered.length - accepted.length - refused}`,
  );
  console.log(
    `lost ${accepted.filter((id) => !once.has(id) && !waiting.has(id)).length}, arrived twice ${arrived.length - once.size}, arrived though refused ${[...once].filter((id) => !known.has(id)).length}`,
  );
  console.log(
    `still waiting ${waiting.size}, ended and not reported ${accepted.filter((id) => !waiting.has(id) && !reported(service).has(id)).length}`,
  );
  console.log(`after it was freed: ready in ${ready}, first 200 in ${taken}, next mail sent in ${sent}`);
  console.log(`after the load ended: all sent and reported in ${drained}; ${freeAtEnd} bytes free`);
  disk.remove();
}

/** From `sinceMs` until it is so. */
async function seconds(so: () => boolean | Promise<boolean>, sinceMs: number): Promise<string> {
  const atMs = await eventually(async () => (await so()) && performance.now(), PATIENCE_MS).catch(() => null);
  return atMs === null ? `NEVER (waited ${PATIENCE_MS / 1000} s)` : `${((atMs - sinceMs) / 1000).toFixed(2)} s`;
}

function startLoad(service: Service): { answered: Answered[]; stop(): Promise<void> } {
  const answered: Answered[] = [];
  let stopped = false;
  let count = 0;
  const postOne = async () => {
    const id = `m-${count++}`;
    const message = { ...plainMessage(id), attachments: [{ filename: "a.txt", content: ATTACHMENT }] };
    const { status } = await service.api.addMessages(message);
    answered.push({ id, status, atMs: performance.now() });
  };
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (!stopped) await Promise.all([postOne(), pause(50)]);
  });
  return {
    answered,
    async stop() {
      stopped = true;
      await Promise.all(clients);
    },
  };
}

function reported({ client }: Service): Set<string> {
  return new Set(client.calls.flatMap((call) => call.body.delivery_report.map(({ id }) => id)));
}
