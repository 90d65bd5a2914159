import type { ClientState } from "@async-mail/db/store";
import { doublingMs } from "@async-mail/domain/backoff";

/** The client said that it has more for us. */
export type FollowUp = {
  /** Steady ms. */
  atMs: number;
  /** Answers in a row that announced messages and brought none. */
  empty: number;
  /** Begun by a run-now or `more_messages`: goes on outside the rules too. */
  urgent: boolean;
};

export type PollFacts = {
  /** Not suspended. */
  active: boolean;
  /** What the rules say now; null: no poll. */
  intervalMs: number | null;
  runNowCount: number;
  client: ClientState;
  followUp: FollowUp | null;
};

const FIRST_FOLLOW_UP_MS = 1000;

/** Steady ms at which the client is to be polled if nothing changes; a past moment: now. Null: not as things are. */
export function nextPollMs({ active, intervalMs, runNowCount, client, followUp }: PollFacts): number | null {
  if (!active) return null;
  const reasons: number[] = [];
  if (runNowCount > client.lastRunNow) reasons.push(0);
  if (intervalMs !== null) reasons.push(client.lastCallMs === null ? 0 : client.lastCallMs + intervalMs);
  if (followUp !== null && (intervalMs !== null || followUp.urgent)) reasons.push(followUp.atMs);
  if (reasons.length === 0) return null;
  return Math.max(Math.min(...reasons), client.quietUntilMs ?? 0);
}

export type Announcement = {
  /** `queued` above 0, or `more_messages`. */
  more: boolean;
  /** The call brought an id not stored before. */
  brought: boolean;
  urgent: boolean;
};

/** At once while each call brings something new, else after 1 s, doubling to the interval. */
export function followUpAfter(
  last: FollowUp | null,
  { more, brought, urgent }: Announcement,
  intervalMs: number,
  nowMs: number,
): FollowUp | null {
  if (!more) return null;
  const goesOn = urgent || (last?.urgent ?? false);
  if (brought) return { atMs: nowMs, empty: 0, urgent: goesOn };
  const empty = last?.empty ?? 0;
  return { atMs: nowMs + doublingMs(FIRST_FOLLOW_UP_MS, empty, intervalMs), empty: empty + 1, urgent: goesOn };
}
