/**
 * How long from the API's answer 200 to the mail server's DATA, for messages posted one by one: first with nothing else
 * to do, then while ten others a second flow. Real processes, loopback only. About ten minutes, nearly all of them spent
 * waiting for the dispatcher to be idle again:
 *
 *     npm run bench:latency
 *     npm run bench:latency -- --messages 20
 */
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Service, startService } from "../test/support/service.ts";

const { values: options } = parseArgs({ options: { messages: { type: "string", default: "100" } } });
const MESSAGES = Number(options.messages);
const OTHERS_A_SECOND = 10;
/** For a while after work a dispatcher watches closely; later than that it is idle. */
const IDLE_PAUSE_MS = 6000;
const BUSY_PAUSE_MS = 300;

const service = await startService();
await measure("warm-up", 5, 100);
report("idle", await measure("idle", MESSAGES, IDLE_PAUSE_MS));
const stop = flow(service);
report("busy", await measure("busy", MESSAGES, BUSY_PAUSE_MS));
await stop();
await service.stop();

/** Milliseconds from 200 to DATA, of each. */
async function measure(name: string, count: number, pauseMs: number): Promise<number[]> {
  const latencies: number[] = [];
  for (let i = 0; i < count; i += 1) {
    // Not in step with anything that recurs.
    await pause(pauseMs * (0.75 + Math.random() / 2));
    const id = `${name}-${i}`;
    const { status } = await service.api.addMessages(message(id));
    const answeredAt = performance.timeOrigin + performance.now();
    if (status !== 200) throw new Error(`the API answered ${status}`);
    const dataAt = await arrival(id);
    latencies.push(Math.max(0, dataAt - answeredAt));
  }
  return latencies;
}

async function arrival(id: string): Promise<number> {
  const deadline = performance.now() + 10_000;
  while (performance.now() < deadline) {
    const found = service.smtp.messages.find((one) => one.to.includes(`${id}@example.org`));
    if (found) return found.dataAt;
    await pause(2);
  }
  throw new Error(`${id} did not arrive within 10 s`);
}

function flow({ api }: Service): () => Promise<void> {
  let stopped = false;
  const flowing = (async () => {
    for (let i = 0; !stopped; i += 1) {
      await Promise.all([api.addMessages(message(`flow-${i}`)), pause(1000 / OTHERS_A_SECOND)]);
    }
  })();
  return async () => {
    stopped = true;
    await flowing;
  };
}

function message(id: string) {
  return { id, from: "sender@example.com", to: `${id}@example.org`, subject: id, body: "How long did this take?" };
}

function report(name: string, latencies: number[]): void {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN).toFixed(1);
  console.log(`${name}: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms, of ${sorted.length} messages`);
}
