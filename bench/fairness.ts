/**
 * What one account's backlog costs another, and what urgent mail costs the rest. About ten minutes:
 *
 *     npm run bench:fairness
 *     npm run bench:fairness -- --backlog 100000 --messages 50 --low 50
 *
 * 1. Account B gets one message at a time, from 200 to DATA: on an idle system, then while account A has a backlog and
 *    a mail server that takes 2 s for each. Wanted: p99 at most twice that of the idle system plus 100 ms.
 * 2. Bulk at low priority on one account with a stream of high priority that never ends. Promised: one of every ten is
 *    the one that is due longest, so the n-th low one goes within the first 10·n after it was posted, give or take those
 *    composed ahead.
 */
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Service, startService } from "../test/support/service.ts";
import { startSmtpServer } from "../test/support/smtp-server.ts";
import { latenciesOf, percentile, plainMessage, tellLatencies } from "./latencies.ts";

const { values: options } = parseArgs({
  options: {
    backlog: { type: "string", default: "100000" },
    messages: { type: "string", default: "50" },
    low: { type: "string", default: "50" },
  },
});
/** Longer than a dispatcher watches closely after work: then it is idle. */
const IDLE_PAUSE_MS = 6000;
const BUSY_PAUSE_MS = 1000;
const SLOW_MS = 2000;
const NEVER_MS = 3_600_000;

await neighbours();
await urgency();

async function neighbours(): Promise<void> {
  const service = await startService();
  const { smtp } = service;
  const slow = await startSmtpServer({ script: { onData: () => takes(SLOW_MS) } });
  const count = Number(options.messages);
  await latenciesOf({ service, smtp, name: "warm-up", count: 3, pauseMs: 100 });
  const idle = await latenciesOf({ service, smtp, name: "idle", count, pauseMs: IDLE_PAUSE_MS });
  tellLatencies("B on an idle system", idle);

  await postAccount(service, { id: "a", host: slow.host, port: slow.port });
  const startedMs = performance.now();
  await post(service, "backlog", Number(options.backlog), { account_id: "a" });
  console.log(`A's backlog of ${options.backlog} accepted in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  await slow.received(5, 60_000);
  const beside = await latenciesOf({ service, smtp, name: "beside", count, pauseMs: BUSY_PAUSE_MS });
  tellLatencies(`B beside A (of which ${slow.messages.length} arrived)`, beside);
  const wantedMs = 2 * percentile(idle, 0.99) + 100;
  const missed = percentile(beside, 0.99) > wantedMs;
  console.log(`wanted: p99 at most ${wantedMs.toFixed(1)} ms: ${missed ? "MISSED" : "met"}`);
  await service.stop();
  await slow.close();
}

async function urgency(): Promise<void> {
  const service = await startService({ smtp: { script: { onData: () => takes(20) } } });
  const { smtp } = service;
  await postAccount(service, { id: "both", host: smtp.host, port: smtp.port, max_connections: 2 });
  const fields = { account_id: "both" };
  const low = Number(options.low);
  await service.api.post("/commands/suspend");
  await post(service, "low", low, { ...fields, priority: "low" });
  await post(service, "high", 100, { ...fields, priority: "high" });
  await service.api.post("/commands/activate");
  const startedMs = performance.now();

  const places: { place: number; seconds: number }[] = [];
  let posted = 100;
  for (let looked = 0; places.length < low; ) {
    // As many urgent ones wait at any time.
    for (; posted < smtp.messages.length + 100; posted += 20)
      await post(service, `high-${posted}`, 20, { ...fields, priority: "high" });
    await smtp.received(looked + 1, NEVER_MS);
    for (; looked < smtp.messages.length; looked += 1) {
      if (!smtp.messages[looked]?.to[0]?.startsWith("low-")) continue;
      places.push({ place: looked + 1, seconds: (performance.now() - startedMs) / 1000 });
    }
  }
  const rate = smtp.messages.length / ((performance.now() - startedMs) / 1000);
  const last = places.at(-1) ?? { place: Number.NaN, seconds: Number.NaN };
  const worst = Math.max(...places.map(({ place }, n) => place - 10 * (n + 1)));
  console.log(
    `low priority beside a never-ending high one, ${rate.toFixed(0)} a second: the last of ${low} low ones was number ${last.place}, after ${last.seconds.toFixed(1)} s`,
  );
  console.log(
    `promised: number ${10 * low}, after ${((10 * low) / rate).toFixed(1)} s; the worst of them came ${worst} later than its place`,
  );
  await service.stop();
}

async function postAccount(service: Service, account: object): Promise<void> {
  const { status } = await service.api.post("/account", { security: "none", ...account });
  if (status !== 200) throw new Error(`the API answered ${status}`);
}

async function post(service: Service, name: string, count: number, fields: object): Promise<void> {
  for (let from = 0; from < count; from += 1000) {
    const some = Array.from({ length: Math.min(1000, count - from) }, (_, i) => plainMessage(`${name}-${from + i}`));
    const { status } = await service.api.addMessages(...some.map((one) => ({ ...one, ...fields })));
    if (status !== 200) throw new Error(`the API answered ${status}`);
  }
}

async function takes(ms: number): Promise<undefined> {
  await pause(ms);
}
