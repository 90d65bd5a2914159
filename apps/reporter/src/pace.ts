import { doublingMs } from "@async-mail/domain/backoff";
import type { Instant } from "@async-mail/domain/time";

/** How soon the client may be called again, and with how many reports, contract §4.3. Times are steady ms. */
export type Pace = {
  /** Most reports of the next POST. */
  size: number;
  /** Failures in a row. */
  failures: number;
  /** Reports in a row that failed alone, so that none was acknowledged in between. */
  failedAlone: number;
  /** The back-off, or Retry-After; a run-now ends it early: the client itself asks to be called. */
  notBeforeMs: number;
  /** What nothing ends early: the shortest wait after a failure, gathering, a rest. */
  atLeastMs: number;
};

export type Failure = {
  /** Reports posted. */
  count: number;
  /** The client answered, only not as it should. */
  answered: boolean;
  /** It had been set aside before: its failing tells nothing new about the client. */
  suspect: boolean;
  retryAfterMs: number | null;
};

const FIRST_BACKOFF_MS = 1000;
const LONGEST_BACKOFF_MS = 300_000;
/** A trickle of mail is reported in a few POSTs a second rather than one each: a POST and two commits cost more. */
const GATHER_MS = 200;

export function freshPace(batchSize: number): Pace {
  return { size: batchSize, failures: 0, failedAlone: 0, notBeforeMs: 0, atLeastMs: 0 };
}

/** 1 s doubling to 5 min; `jitter` is 0 to 1 and shifts it by up to a tenth. */
export function backoffMs(earlier: number, jitter: number): number {
  const doubledMs = doublingMs(FIRST_BACKOFF_MS, earlier, LONGEST_BACKOFF_MS);
  return Math.round(Math.min(doubledMs * (1 + jitter / 10), LONGEST_BACKOFF_MS * (1 - jitter / 10)));
}

/** The size grows back by doubling. `atOnce`: more is known to wait, so nothing is gathered. */
export function afterSuccess(pace: Pace, batchSize: number, call: { startedMs: number; atOnce: boolean }): Pace {
  return {
    size: Math.min(batchSize, pace.size * 2),
    failures: 0,
    failedAlone: 0,
    notBeforeMs: 0,
    atLeastMs: call.atOnce ? 0 : call.startedMs + GATHER_MS,
  };
}

export function afterFailure(pace: Pace, failure: Failure, jitter: number, now: Instant): Pace {
  const next =
    failure.answered && failure.count === 1 ? afterOneAlone(pace, failure.suspect) : afterMany(pace, failure);
  const delayMs = next.failures === 0 ? 0 : backoffMs(next.failures - 1, jitter);
  return {
    ...next,
    notBeforeMs: now.steadyMs + Math.max(delayMs, failure.retryAfterMs ?? 0),
    atLeastMs: now.steadyMs + Math.min(delayMs, FIRST_BACKOFF_MS),
  };
}

/**
 * The first that fails alone delays no other; when the next fails alone too, it may be the client rather than the
 * items, and the back-off grows again. A suspect changes nothing.
 */
function afterOneAlone(pace: Pace, suspect: boolean): Pace {
  if (suspect) return pace;
  return { ...pace, size: 1, failures: pace.failedAlone, failedAlone: pace.failedAlone + 1 };
}

function afterMany(pace: Pace, { count, answered }: Failure): Pace {
  const size = answered && count > 1 ? Math.floor(count / 2) : pace.size;
  return { ...pace, size, failures: pace.failures + 1 };
}

/** Nothing is called before then. */
export function resting(pace: Pace, untilMs: number): Pace {
  return { ...pace, atLeastMs: Math.max(pace.atLeastMs, untilMs) };
}

/** Steady ms of the earliest next call. */
export function mayCallAtMs(pace: Pace, ranNow: boolean): number {
  return ranNow ? pace.atLeastMs : Math.max(pace.notBeforeMs, pace.atLeastMs);
}
