/** Node's timers take at most 31 bits, and would fire at once beyond them. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A computed time as a timer can wait for it. */
export function timerMs(ms: number): number {
  return Math.min(ms, LONGEST_TIMER_MS);
}
