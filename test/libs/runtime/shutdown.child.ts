// A process that stops as ours do. What it does while closing is its first argument, its grace in ms the second.
import { setTimeout as pause } from "node:timers/promises";
import { createClock } from "@async-mail/runtime/clock";
import { createLog } from "@async-mail/runtime/log";
import { createShutdown } from "@async-mail/runtime/shutdown";

const [closing, graceMs] = process.argv.slice(2);
const log = createLog({ level: "info", process: "dispatcher" });
const shutdown = createShutdown({ graceMs: Number(graceMs), log, clock: createClock(0) });

function say(word: string): void {
  console.log(JSON.stringify({ event: word }));
}

// So that the test can tell, without a clock of its own, when a second signal counts.
shutdown.stopping.addEventListener("abort", () => setTimeout(() => say("second_counts"), 1050));
shutdown.deadline.addEventListener("abort", () => say("deadline"));

const forever = setInterval(() => {}, 60_000);
say("ready");
if (closing === "throws_before") setImmediate(() => Promise.reject(new Error("a bug")));
if (closing === "refused_before") {
  setImmediate(() => Promise.reject(Object.assign(new Error("not our file"), { name: "StorageRefused" })));
}
if (closing === "exits") shutdown.exit(3, "the schema is newer than this program");

await shutdown.run(async () => {
  say("closing");
  if (closing === "hangs") await pause(600_000);
  if (closing === "until_deadline" && !shutdown.deadline.aborted) {
    await new Promise((resolve) => shutdown.deadline.addEventListener("abort", resolve));
  }
  if (closing === "fails") throw new Error("cannot close");
  clearInterval(forever);
});
