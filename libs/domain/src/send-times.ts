import { bad, good, type Read } from "./read.ts";

const DAY_MS = 86_400_000;
const FARTHEST_DEFERRAL_DAYS = 366;
// Milliseconds of today read as seconds lie beyond the year 50000; nobody means that.
const FARTHEST_EXPIRY_DAYS = 36_600;

/** `deferred_ts` in wall ms; null: now. */
export function readDeferredMs(seconds: number | null | undefined, nowMs: number): Read<number | null> {
  return readMoment(seconds, nowMs, FARTHEST_DEFERRAL_DAYS, (ms) => ms > nowMs);
}

/** `expires_ts` in wall ms; null: never. One that has passed is kept: the message ends as `expired`, and is reported. */
export function readExpiresMs(seconds: number | null | undefined, nowMs: number): Read<number | null> {
  return readMoment(seconds, nowMs, FARTHEST_EXPIRY_DAYS, (ms) => ms > 0);
}

function readMoment(
  seconds: number | null | undefined,
  nowMs: number,
  farthestDays: number,
  counts: (ms: number) => boolean,
): Read<number | null> {
  if (seconds === null || seconds === undefined) return good(null);
  if (Number.isNaN(seconds)) return bad("not a number");
  const ms = Math.round(seconds * 1000);
  if (ms > nowMs + farthestDays * DAY_MS) return bad(`more than ${farthestDays} days ahead, epoch seconds are wanted`);
  return good(counts(ms) ? ms : null);
}
