import { readFileSync } from "node:fs";

/**
 * The only place that reads the machine's clocks. `wallMs` is what people see; `steadyMs` looks like an epoch too but
 * never jumps, and is the same in all processes on one file, since the offset comes from the store.
 */
export type Clock = {
  now(): { wallMs: number; steadyMs: number };
  /** Of this machine since its boot; for intervals. */
  monotonicMs(): number;
  /** Resolves early when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
};

export function createClock(steadyOffsetMs: number): Clock {
  return {
    // Whole, as they are stored; rounded down, so that nothing is thought due before its time.
    now: () => ({ wallMs: Date.now(), steadyMs: Math.floor(monotonicMs() + steadyOffsetMs) }),
    monotonicMs,
    sleep,
  };
}

/** What the store needs to join this boot's monotonic time to that of earlier ones. */
export function bootReading(): { bootId: string; monotonicMs: number; wallMs: number } {
  return { bootId: bootId(), monotonicMs: Math.floor(monotonicMs()), wallMs: Date.now() };
}

/** For libraries that want a Date. */
export function toDate(wallMs: number): Date {
  return new Date(wallMs);
}

/** As in the answers of the API: ISO 8601, UTC, with Z. */
export function isoTime(wallMs: number): string {
  return toDate(wallMs).toISOString();
}

/** CLOCK_MONOTONIC: one reading for all processes of the machine, which `performance.now()` is not. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

/** setTimeout takes at most 31 bits and would fire at once beyond them. */
const LONGEST_SLEEP_MS = 2 ** 31 - 1;

/** By hand: those of node end with an error when aborted, and to make one costs more than all the rest of a short sleep. */
function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const timer = setTimeout(end, Math.min(Math.max(0, ms), LONGEST_SLEEP_MS));
    signal?.addEventListener("abort", end);
    function end() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    }
  });
}

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    // Without Linux's boot id, the moment of the boot tells one boot from another, to the second.
    return `boot-${Math.round((Date.now() - monotonicMs()) / 1000)}`;
  }
}
