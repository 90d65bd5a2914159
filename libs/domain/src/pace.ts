/**
 * How fast an account may go after its server found it too fast: one message at a time, `gapMs` apart, over fewer
 * connections. Each minute without another such reply doubles both, until nothing of it is left.
 */
export type Pace = {
  /** From the beginning of one claim to the next. */
  gapMs: number;
  connections: number;
  /** The moment of the throttling reply, steady ms. */
  sinceMs: number;
};

const RECOVERY_MS = 60_000;
/** A pace with a smaller gap is no pace any more: a connection takes as long for a message. */
const LEAST_GAP_MS = 20;
/** The first throttling slows to 30 a minute at most, which is the least that a large provider allows (Microsoft 365). */
const FIRST_GAP_MS = 2_000;
const LONGEST_GAP_MS = 60_000;

/** Half as fast as it went: by its pace, else by what it sent in the last minute. */
export function slower(
  before: Pace | null,
  { sentInMinute, connections }: { sentInMinute: number; connections: number },
  nowMs: number,
): Pace {
  const now = before === null ? null : paceAt(before, connections, nowMs);
  const asSent = Math.min(FIRST_GAP_MS, Math.ceil((2 * 60_000) / Math.max(1, sentInMinute)));
  const gapMs = now === null ? asSent : Math.max(asSent, 2 * now.gapMs);
  return {
    gapMs: Math.min(Math.max(gapMs, 2 * LEAST_GAP_MS), LONGEST_GAP_MS),
    connections: Math.max(1, Math.floor((now?.connections ?? connections) / 2)),
    sinceMs: nowMs,
  };
}

/** What is left of a pace now; `most` connections it has without one. Null: nothing. */
export function paceAt(pace: Pace, most: number, nowMs: number): Pace | null {
  const doublings = Math.max(0, Math.floor((nowMs - pace.sinceMs) / RECOVERY_MS));
  if (doublings >= doublingsLeft(pace)) return null;
  const gapMs = Math.ceil(pace.gapMs / 2 ** doublings);
  return { gapMs, connections: Math.min(most, pace.connections * 2 ** doublings), sinceMs: pace.sinceMs };
}

/** The moment at which nothing is left of it, if no other throttling follows. */
export function paceEndsMs(pace: Pace): number {
  return pace.sinceMs + doublingsLeft(pace) * RECOVERY_MS;
}

function doublingsLeft({ gapMs }: Pace): number {
  return Math.max(1, Math.ceil(Math.log2(gapMs / LEAST_GAP_MS)));
}
