import type { ClientState, ReportRow, Store } from "@async-mail/db/store";
import { pollIntervalMs } from "@async-mail/domain/schedule";
import type { Instant } from "@async-mail/domain/time";
import type { Clock } from "@async-mail/runtime/clock";
import type { Log } from "@async-mail/runtime/log";
import type { Client } from "./client.ts";
import { exchange } from "./exchange.ts";
import { type Contender, leads } from "./lead.ts";
import type { ReporterMetrics } from "./metrics.ts";
import { freshPace, mayCallAtMs, type Pace } from "./pace.ts";
import { type FollowUp, nextPollMs } from "./poll.ts";

export type Reporter = Pick<Contender, "presence"> & {
  store: Pick<Store, "messages" | "reports" | "rules" | "service" | "processes">;
  client: Client;
  clock: Pick<Clock, "now">;
  log: Pick<Log, "reported" | "polled" | "reportFailed" | "reportSetAside">;
  metrics: ReporterMetrics;
  /** 0 to 1. */
  random(): number;
  batchSize: number;
  /** How often the client is polled when there are no rules. */
  intervalMs: number;
  timezone: string;
  acknowledge: "body" | "status";
  /** The grace is over: a call under way is cut. */
  deadline: AbortSignal;
};

/** What a reporter knows of its conversation with the client, from one pass to the next. */
export type Session = {
  /** What the store remembers of the client; null: to be read, since another may have led meanwhile. */
  client: ClientState | null;
  pace: Pace;
  followUp: FollowUp | null;
  /** Keys of messages whose report failed alone: they are posted alone, so that they fail no other's. */
  aside: Set<number>;
  /** The last call was for one of those: the next is for the others. */
  lastWasAside: boolean;
  /** As it was before the last call: a later run-now ends a back-off. */
  runNowCount: number;
  /** Aborted when the lead is lost: the next leader calls too. */
  lost: AbortController;
};

/** The longest wait without looking: by the hour another rule may hold. */
const LOOK_MS = 1000;
const SHORTEST_WAIT_MS = 10;

export function newSession(batchSize: number): Session {
  return {
    client: null,
    pace: freshPace(batchSize),
    followUp: null,
    aside: new Set(),
    lastWasAside: false,
    runNowCount: 0,
    lost: new AbortController(),
  };
}

/** One pass: at most one call to the client, and what its answer asks for. Answers when to look again. */
export async function reportPending(reporter: Reporter, session: Session): Promise<{ waitMs: number }> {
  const leading = await leads(reporter);
  reporter.metrics.leading.set(leading ? 1 : 0);
  if (!leading || session.lost.signal.aborted) Object.assign(session, newSession(reporter.batchSize));
  if (!leading) return { waitMs: LOOK_MS };

  const { store } = reporter;
  const client = session.client ?? (await store.reports.client());
  session.client = client;
  const runNowCount = await store.service.runNowCount();
  const now = reporter.clock.now();
  const pauseMs = mayCallAtMs(session.pace, runNowCount > session.runNowCount) - now.steadyMs;
  if (pauseMs > 0) return { waitMs: Math.min(pauseMs, LOOK_MS) };

  // Room for those set aside too: should all of them be due, the others are still seen.
  const due = await store.reports.due(reporter.batchSize + session.aside.size, now);
  const rows = nextBatch(due, session);
  if (rows.length === 0) {
    const pollMs = await pollAtMs(reporter, session.followUp, client, runNowCount, now);
    if (pollMs === null || pollMs > now.steadyMs) return { waitMs: await untilNextMs(reporter, pollMs, now) };
  }
  await exchange(reporter, session, { rows, client, runNowCount });
  return { waitMs: 0 };
}

/** The oldest that may go together. One set aside goes alone: in turn with them, but after them while calls fail. */
function nextBatch(due: ReportRow[], { aside, lastWasAside, pace }: Session): ReportRow[] {
  const itsTurn = !lastWasAside && pace.failures === 0 && pace.failedAlone === 0;
  const suspect = due.find((row) => aside.has(row.messageKey));
  const others = due.filter((row) => !aside.has(row.messageKey));
  if (suspect !== undefined && (others.length === 0 || itsTurn)) return [suspect];
  return others.slice(0, pace.size);
}

async function pollAtMs(
  { store, timezone, intervalMs }: Reporter,
  followUp: FollowUp | null,
  client: ClientState,
  runNowCount: number,
  now: Instant,
): Promise<number | null> {
  const [{ active }, rules] = await Promise.all([store.service.status(), store.rules.list()]);
  const byRulesMs = pollIntervalMs(rules, now.wallMs, timezone, intervalMs);
  return nextPollMs({ active, intervalMs: byRulesMs, runNowCount, client, followUp });
}

async function untilNextMs({ store }: Reporter, pollMs: number | null, now: Instant): Promise<number> {
  const reportMs = await store.reports.nextDueMs();
  const nextMs = Math.min(pollMs ?? Number.POSITIVE_INFINITY, reportMs ?? Number.POSITIVE_INFINITY);
  return Math.min(Math.max(nextMs - now.steadyMs, SHORTEST_WAIT_MS), LOOK_MS);
}
