import type { Clock } from "./clock.ts";

export type Wake = {
  /** Resolves when there may be something to do, at the latest after `ms`, or when aborted. One waits at a time. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  /** Ends the wait now, or the next one at once: some work of this process is done, and there may be more. */
  nudge(): void;
  /** There was work, so that more is likely soon. */
  worked(): void;
};

/** Every 10 ms costs 3 to 4 % of a core, so only for a while after there was work. */
const CLOSE_MS = 10;
const CLOSE_FOR_MS = 5_000;
const IDLE_MS = 60;

/** Nobody reads why a pause ended; without a reason an error would be made for each, one for every message sent. */
const ENDED = "ended";

type Options = {
  changed(): boolean;
  clock: Pick<Clock, "sleep" | "monotonicMs">;
  /** How often it looks when idle. */
  idleMs?: number;
};

/**
 * Watches for what other processes committed, closely while there is work and slowly when idle. A change by itself is
 * no work: most are the others' beats, and would keep everyone looking closely for ever.
 */
export function createWake({ changed, clock, idleMs = IDLE_MS }: Options): Wake {
  let closeUntilMs = Number.NEGATIVE_INFINITY;
  let nudged = false;
  let pause = new AbortController();

  const somethingHappened = () => {
    const happened = changed() || nudged;
    nudged = false;
    return happened;
  };

  const worked = () => {
    closeUntilMs = clock.monotonicMs() + CLOSE_FOR_MS;
  };

  const watch = async (untilMs: number, signal: AbortSignal) => {
    while (!signal.aborted && !somethingHappened()) {
      const nowMs = clock.monotonicMs();
      if (nowMs >= untilMs) return;
      if (pause.signal.aborted) pause = new AbortController();
      await clock.sleep(Math.min(untilMs - nowMs, nowMs < closeUntilMs ? CLOSE_MS : idleMs), pause.signal);
    }
  };

  return {
    async wait(ms, signal) {
      const cut = () => pause.abort(ENDED);
      signal.addEventListener("abort", cut);
      await watch(clock.monotonicMs() + ms, signal).finally(() => signal.removeEventListener("abort", cut));
    },
    nudge() {
      worked();
      nudged = true;
      pause.abort(ENDED);
    },
    worked,
  };
}
