/**
 * One moment, read twice. `wallMs` (epoch) is what clients see and name. `steadyMs` looks like an epoch too, but never
 * jumps: it advances with the machine's monotonic clock and is common to all processes on one file. Everything that
 * is waited for (due times, windows, holds, back-off) is steady; everything that is shown is wall.
 */
export type Instant = { wallMs: number; steadyMs: number };

/** The wall time at which a steady moment will come, as seen from `now`. */
export function toWallMs(steadyMs: number, now: Instant): number {
  return now.wallMs + (steadyMs - now.steadyMs);
}

/** The steady moment at which the wall clock will show `wallMs`, if nobody moves its hands. */
export function toSteadyMs(wallMs: number, now: Instant): number {
  return now.steadyMs + (wallMs - now.wallMs);
}

/** Contract times are whole epoch seconds: clients keep them in integer columns. */
export function toSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}
