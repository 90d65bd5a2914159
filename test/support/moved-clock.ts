/** Preloaded into a process (`node --import`), it moves what that reads as the machine's clock. See machine-clock.ts. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers";
import timersPromises from "node:timers/promises";
import { promisify } from "node:util";
import { monotonicNsOf, type Settings, wallMsOf } from "./moved-time.ts";

const settings: Settings = JSON.parse(process.env.MACHINE_CLOCK ?? "{}");
const realNs = process.hrtime.bigint;
const realRead = fs.readFileSync;
/** Read anew after so long. */
const LOOK_NS = 20_000_000n;

let jumpedMs = 0;
let lookedNs = 0n;

function wallMs(): number {
  const nowNs = realNs();
  if (nowNs - lookedNs > LOOK_NS) {
    jumpedMs = Number(realRead(settings.file, "utf8"));
    lookedNs = nowNs;
  }
  return wallMsOf(settings, nowNs, jumpedMs);
}

moveDate();
moveMonotonic();
if (settings.speed !== 1) moveTimers();
if (settings.bootId !== undefined) moveBoot(settings.bootId);
syncBuiltinESMExports();

function moveDate(): void {
  const RealDate = Date;
  RealDate.now = wallMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, given, newTarget) =>
      Reflect.construct(target, given.length > 0 ? given : [wallMs()], newTarget),
    apply: () => new RealDate(wallMs()).toString(),
  });
}

/** `performance.now()` stays: it tells how long work takes, and neither disk nor processor is sped up. */
function moveMonotonic(): void {
  const monotonicNs = () => monotonicNsOf(settings, realNs());
  const hrtime = (before: [number, number] = [0, 0]): [number, number] => {
    const passed = monotonicNs() - (BigInt(before[0]) * 1_000_000_000n + BigInt(before[1]));
    return [Number(passed / 1_000_000_000n), Number(passed % 1_000_000_000n)];
  };
  process.hrtime = Object.assign(hrtime, { bigint: monotonicNs });
}

function moveTimers(): void {
  const { setTimeout: later, setInterval: every } = timers;
  const { setTimeout: pause, setInterval: ticks, scheduler } = timersPromises;
  const real = (ms?: number) => (ms === undefined ? ms : ms / settings.speed);
  type Callback = (...args: unknown[]) => void;
  const fast = {
    setTimeout: (run: Callback, ms?: number, ...args: unknown[]) => later(run, real(ms), ...args),
    setInterval: (run: Callback, ms?: number, ...args: unknown[]) => every(run, real(ms), ...args),
  };
  Object.defineProperty(fast.setTimeout, promisify.custom, { get: () => timersPromises.setTimeout });
  Object.assign(timers, fast);
  Object.assign(globalThis, fast);
  timersPromises.setTimeout = (ms, ...rest) => pause(real(ms), ...rest);
  timersPromises.setInterval = (ms, ...rest) => ticks(real(ms), ...rest);
  const wait = scheduler.wait.bind(scheduler);
  scheduler.wait = (ms, options) => wait(ms / settings.speed, options);
}

function moveBoot(bootId: string): void {
  const read = (...given: Parameters<typeof realRead>) =>
    given[0] === "/proc/sys/kernel/random/boot_id" ? `${bootId}\n` : realRead(...given);
  fs.readFileSync = read as typeof realRead;
}
