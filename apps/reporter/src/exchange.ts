import type { ClientState, ReportRow } from "@async-mail/db/store";
import { type Answer, quietUntilMs, readAnswer, toReport } from "@async-mail/domain/report";
import type { Instant } from "@async-mail/domain/time";
import type { CallResult } from "./client.ts";
import { failed } from "./failure.ts";
import { afterFailure, afterSuccess } from "./pace.ts";
import { followUpAfter } from "./poll.ts";
import type { Reporter, Session } from "./report.ts";

export type Call = {
  /** None: a poll. */
  rows: ReportRow[];
  client: ClientState;
  runNowCount: number;
};

type Acknowledged = Extract<Answer, { acknowledged: true }>;
type Timing = { startedMs: number; now: Instant };

/** The transaction that handed a message over may not be committed yet when its report is refused, contract §4.3. */
const NOT_FOUND_AGAIN_MS = [5_000, 30_000, 120_000];
const NOT_FOUND_FOR_MS = 600_000;

/** One POST to the client, and what its answer asks for. */
export async function exchange(reporter: Reporter, session: Session, call: Call): Promise<void> {
  const { store, client, clock, metrics } = reporter;
  const newestKey = await store.messages.newestKey();
  session.runNowCount = call.runNowCount;
  session.lastWasAside = call.rows.some((row) => session.aside.has(row.messageKey));

  const started = clock.now();
  const cut = AbortSignal.any([session.lost.signal, reporter.deadline]);
  const result = await client.post(call.rows.map(toReport), started, cut);
  const timing = { startedMs: started.steadyMs, now: clock.now() };

  const answer = meaning(result, reporter.acknowledge);
  const outcome = answer.acknowledged ? "acknowledged" : "failed";
  metrics.calls.observe({ outcome }, (timing.now.steadyMs - timing.startedMs) / 1000);
  if (!answer.acknowledged) return failed(reporter, session, call.rows, result, answer.reason, timing.now);

  const brought = (await store.messages.newestKey()) > newestKey;
  try {
    await acknowledged(reporter, session, call, answer, timing);
  } catch (error) {
    // Taken by the client but not marked: it goes again, and not in a tight circle.
    const failure = { count: call.rows.length, answered: false, suspect: false, retryAfterMs: null };
    session.pace = afterFailure(session.pace, failure, reporter.random(), timing.now);
    throw error;
  }
  goOn(reporter, session, call, answer, brought, timing);
}

function meaning(result: CallResult, acknowledge: "body" | "status"): Answer {
  if (!result.answered) return { acknowledged: false, reason: result.reason };
  return readAnswer(result.status, result.body, acknowledge);
}

/** Writes what the client has taken, all in one commit, and remembers the call. */
async function acknowledged(
  { store, log, metrics }: Reporter,
  session: Session,
  { rows, client, runNowCount }: Call,
  answer: Acknowledged,
  { startedMs, now }: Timing,
): Promise<void> {
  const unknown = new Set(answer.notFound);
  const again = rows.filter((row) => unknown.has(row.id) && againAfterMs(row, now) !== null);
  const taken = rows.filter((row) => !unknown.has(row.id) || againAfterMs(row, now) === null);
  const remembered: ClientState = {
    lastCallMs: Math.floor(now.steadyMs),
    quietUntilMs: answer.nextSyncAfterMs === null ? client.quietUntilMs : quietUntilMs(answer.nextSyncAfterMs, now),
    // The run-now that `more_messages` asks for wakes the dispatchers; the client is polled again by the follow-up.
    lastRunNow: runNowCount + (answer.moreMessages ? 1 : 0),
  };
  await Promise.all([
    store.reports.acknowledge(taken, now),
    ...NOT_FOUND_AGAIN_MS.map((delayMs) => {
      const kept = again.filter((row) => againAfterMs(row, now) === delayMs);
      return kept.length > 0 && store.reports.postpone(kept, Math.floor(now.steadyMs + delayMs), now);
    }),
    answer.moreMessages && store.service.runNow(),
    store.reports.saveClient(remembered),
  ]);
  session.client = remembered;

  const ms = now.steadyMs - startedMs;
  metrics.posted.inc(taken.length);
  for (const row of taken) metrics.age.observe(Math.max(0, now.wallMs - row.updatedMs) / 1000);
  if (rows.length === 0) log.polled({ queued: answer.queued, ms });
  else log.reported({ count: taken.length, ms });
}

/** Null: it is taken as reported, although the client does not know it. */
function againAfterMs(row: ReportRow, now: Instant): number | null {
  if (now.wallMs - row.createdMs >= NOT_FOUND_FOR_MS) return null;
  return NOT_FOUND_AGAIN_MS[row.tries] ?? null;
}

/** When to call next, after an answer that acknowledged. */
function goOn(
  reporter: Reporter,
  session: Session,
  { rows, client, runNowCount }: Call,
  answer: Acknowledged,
  brought: boolean,
  { startedMs, now }: Timing,
): void {
  const more = answer.queued > 0 || answer.moreMessages;
  const urgent = answer.moreMessages || runNowCount > client.lastRunNow;
  session.followUp = followUpAfter(session.followUp, { more, brought, urgent }, reporter.intervalMs, now.steadyMs);
  const atOnce = (more && brought) || rows.length >= session.pace.size;
  session.pace = afterSuccess(session.pace, reporter.batchSize, { startedMs, atOnce });
  for (const row of rows) session.aside.delete(row.messageKey);
}
