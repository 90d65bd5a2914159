/** The real thing but for who moves its hands: the test. Wall and steady start together and move together. */
export type TestClock = {
  now(): { wallMs: number; steadyMs: number };
  monotonicMs(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Lets time pass; whoever sleeps until then wakes, in order. */
  advance(ms: number): Promise<void>;
  /** Someone sets the machine's wall clock; no time passes. */
  jumpWall(ms: number): void;
};

/** A Friday, 2027-01-15 08:00:00 UTC. */
export const START_MS = 1_800_000_000_000;

type Sleeper = { atMs: number; wake(): void };

export function testClock(startMs = START_MS): TestClock {
  const monotonicStartMs = 1_000_000;
  let elapsedMs = 0;
  let jumpedMs = 0;
  const sleepers = new Set<Sleeper>();

  function sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms <= 0 || signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const sleeper = { atMs: elapsedMs + ms, wake };
      function wake() {
        sleepers.delete(sleeper);
        signal?.removeEventListener("abort", wake);
        resolve();
      }
      sleepers.add(sleeper);
      signal?.addEventListener("abort", wake);
    });
  }

  async function advance(ms: number): Promise<void> {
    const untilMs = elapsedMs + ms;
    while (true) {
      const next = [...sleepers].filter((one) => one.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      elapsedMs = next.atMs;
      next.wake();
      await settleCallbacks();
    }
    elapsedMs = untilMs;
  }

  return {
    now: () => ({ wallMs: startMs + elapsedMs + jumpedMs, steadyMs: startMs + elapsedMs }),
    monotonicMs: () => monotonicStartMs + elapsedMs,
    sleep,
    advance,
    jumpWall: (ms) => {
      jumpedMs += ms;
    },
  };
}

/** Lets whoever was woken run until it waits again. */
function settleCallbacks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
