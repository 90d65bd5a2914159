/** Says what this process, and a thread of it, read as the machine's clock; again after half a second of it, and then whenever asked. */
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { bootReading, createClock } from "@async-mail/runtime/clock";

const clock = createClock(0);
const say = (name: string, value: object = {}) => console.log(JSON.stringify({ name, ...value, ...readings() }));

function readings() {
  return {
    wallMs: clock.now().wallMs,
    dateMs: Date.parse(new Date().toISOString()),
    monotonicMs: clock.monotonicMs(),
    bootId: bootReading().bootId,
    fixed: new Date(5).getTime(),
  };
}

if (isMainThread) await tellAll();
else parentPort?.postMessage(Date.now());

async function tellAll() {
  say("start");
  await pause(500);
  say("promise");
  await promisify(setTimeout)(500);
  say("promisified");
  await clock.sleep(500);
  say("callback");
  const thread = new Worker(new URL(import.meta.url));
  say("thread", { threadMs: await new Promise<number>((resolve) => thread.once("message", resolve)) });
  setInterval(() => say("tick"), 50);
}
