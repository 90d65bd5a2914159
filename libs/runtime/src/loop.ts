import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "./clock.ts";
import type { Wake } from "./wake.ts";

/** What ends a loop's wait before its time. */
export type AsyncWake = Pick<Wake, "wait"> & Partial<Pick<Wake, "worked">>;

export type Loop = {
  /** `waitMs` 0 says that there was work and may be more. */
  pass(signal: AbortSignal): Promise<{ waitMs: number }>;
  wake?: AsyncWake;
  clock: Pick<Clock, "sleep">;
  signal: AbortSignal;
  /** Answers how long to wait before the next pass, in ms. */
  onError(error: unknown): number;
};

/**
 * Pass after pass until `signal` aborts; then it returns when the running pass is done. A failing pass, or a wake that
 * fails, ends nothing: `onError` tells how long to wait, and nothing wakes the loop before that, lest it spin.
 */
export async function runLoop({ pass, wake, clock, signal, onError }: Loop): Promise<void> {
  while (!signal.aborted) {
    try {
      const { waitMs } = await pass(signal);
      if (signal.aborted) return;
      if (waitMs <= 0) {
        wake?.worked?.();
        await nextTurn();
      } else if (wake) await wake.wait(waitMs, signal);
      else await clock.sleep(waitMs, signal);
    } catch (error) {
      await clock.sleep(onError(error), signal);
    }
  }
}
