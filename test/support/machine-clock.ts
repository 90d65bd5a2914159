import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { monotonicNsOf, type Settings, wallMsOf } from "./moved-time.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** The machine's clock as whole processes see it: the test may set it, make it run faster, or boot the machine anew. */
export type MachineClock = {
  /** For startService or startProcess: whoever is started with it lives by this clock. */
  env: Record<string, string>;
  /** Sets the wall clock of running processes forward or back, within some 20 ms. */
  jump(ms: number): void;
  /** What those processes read now. */
  wallMs(): number;
  monotonicMs(): number;
};

export type MachineClockOptions = {
  /** How many of its seconds pass in one. */
  speed?: number;
  /** Where its wall clock starts; absent: where this machine's is. */
  wallMs?: number;
  /** The boot that processes see; absent: this machine's. */
  bootId?: string;
  /** How long ago that was; absent: it has just been. */
  uptimeMs?: number;
};

/** Where a monotonic clock stands shortly after a boot. */
const JUST_BOOTED_MS = 5000;

export function machineClock({
  speed = 1,
  wallMs = Date.now(),
  bootId,
  uptimeMs = JUST_BOOTED_MS,
}: MachineClockOptions = {}): MachineClock {
  const file = join(temporaryFolder(), "jump");
  const realBaseNs = process.hrtime.bigint();
  const settings: Settings = {
    file,
    speed,
    realBaseNs: String(realBaseNs),
    monotonicBaseNs: String(bootId === undefined ? realBaseNs : BigInt(uptimeMs) * 1_000_000n),
    wallBaseMs: wallMs,
    ...(bootId === undefined ? {} : { bootId }),
  };
  let jumpedMs = 0;

  const write = () => {
    // At once and whole: nobody reads half a number.
    writeFileSync(`${file}.new`, String(jumpedMs));
    renameSync(`${file}.new`, file);
  };
  write();
  const preload = new URL("./moved-clock.ts", import.meta.url);
  return {
    env: { NODE_OPTIONS: `--import=${preload.href}`, MACHINE_CLOCK: JSON.stringify(settings) },
    jump(ms) {
      jumpedMs += ms;
      write();
    },
    wallMs: () => wallMsOf(settings, process.hrtime.bigint(), jumpedMs),
    monotonicMs: () => Number(monotonicNsOf(settings, process.hrtime.bigint()) / 1000n) / 1000,
  };
}
