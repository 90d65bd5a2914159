import type { ClientState, LastCall, ReportRow } from "@async-mail/db/store";
import { type Answer, quietUntilMs, readAnswer, toReport } from "@async-mail/domain/report";
import type { Instant } from "@async-mail/domain/time";
import type { CallResult } from "./client.ts";
import { failed } from "./failure.ts";
import { afterFailure, afterSuccess } from "./pace.ts";
import { followUpAfter } from "./poll.ts";
import type { Reporter } from "./report.ts";
import { type Look, nextCallMs, type Session } from "./session.ts";

export type Call = {
  /** None: a poll. */
  rows: ReportRow[];
  remembered: ClientState;
  look: Look;
};

type Acknowledged = Extract<Answer, { acknowledged: true }>;
type Timing = { startedMs: number; now: Instant };
/** What an acknowledged call makes of a session. */
type Following = Pick<Session, "followUp" | "pace"> & { remembered: ClientState };

/** The transaction that handed a message over may not be committed yet when its report is refused, contract §4.3. */
const NOT_FOUND_AGAIN_MS = [5_000, 30_000, 120_000];
const NOT_FOUND_FOR_MS = 600_000;

/** One POST to the client, and what its answer asks for. */
export async function exchange(reporter: Reporter, session: Session, call: Call): Promise<void> {
  const { clock, metrics } = reporter;
  const { reports } = reporter.store.of(session.tenant);
  const newestKey = await reports.newestKey();
  session.runNowCount = call.look.runNowCount;
  session.lastWasAside = call.rows.some((row) => session.aside.has(row.messageKey));

  const started = clock.now();
  const cut = AbortSignal.any([session.lost, reporter.deadline]);
  const result = await session.client.post(call.rows.map(toReport), started, cut);
  const timing = { startedMs: started.steadyMs, now: clock.now() };

  const answer = meaning(result, session);
  const outcome = answer.acknowledged ? "acknowledged" : "failed";
  metrics.calls.observe({ outcome }, (timing.now.steadyMs - timing.startedMs) / 1000);
  if (!answer.acknowledged) return failed(reporter, session, call.rows, result, answer.reason, timing.now);

  const brought = (await reports.newestKey()) > newestKey;
  const following = followingFrom(reporter, session, call, answer, brought, timing);
  try {
    await acknowledged(reporter, session, call, answer, following, timing);
  } catch (error) {
    // Taken by the client but not marked: it goes again, and not in a tight circle.
    const failure = { count: call.rows.length, answered: false, suspect: false, retryAfterMs: null };
    session.pace = afterFailure(session.pace, failure, reporter.random(), timing.now);
    throw error;
  }
  Object.assign(session, following);
  for (const row of call.rows) session.aside.delete(row.messageKey);
}

function meaning(result: CallResult, { acknowledge, secrets }: Session): Answer {
  if (!result.answered) return { acknowledged: false, reason: result.reason };
  const answer = readAnswer(result.status, result.body, acknowledge);
  if (answer.acknowledged || !secrets.some((one) => answer.reason.includes(one))) return answer;
  return { acknowledged: false, reason: "its answer repeats the login, and is not shown" };
}

/** When to call next, after an answer that acknowledged. */
function followingFrom(
  { intervalMs, batchSize }: Reporter,
  { followUp, pace }: Session,
  { rows, remembered, look: { runNowCount, most } }: Call,
  answer: Acknowledged,
  brought: boolean,
  { startedMs, now }: Timing,
): Following {
  const more = answer.queued > 0 || answer.moreMessages;
  const urgent = answer.moreMessages || runNowCount > remembered.lastRunNow;
  const atOnce = (more && brought) || rows.length >= Math.min(pace.size, most);
  return {
    followUp: followUpAfter(followUp, { more, brought, urgent }, intervalMs, now.steadyMs),
    pace: afterSuccess(pace, batchSize, { startedMs, atOnce }),
    remembered: {
      lastCallMs: Math.floor(now.steadyMs),
      quietUntilMs:
        answer.nextSyncAfterMs === null ? remembered.quietUntilMs : quietUntilMs(answer.nextSyncAfterMs, now),
      // The run-now that `more_messages` asks for wakes the dispatchers; the client is polled again by the follow-up.
      lastRunNow: runNowCount + (answer.moreMessages ? 1 : 0),
    },
  };
}

/** Writes what the client has taken, all in one commit, and remembers the call. */
async function acknowledged(
  { store, log, metrics }: Reporter,
  session: Session,
  { rows, look }: Call,
  answer: Acknowledged,
  following: Following,
  { startedMs, now }: Timing,
): Promise<void> {
  const { reports, service } = store.of(session.tenant);
  const unknown = new Set(answer.notFound);
  const again = rows.filter((row) => unknown.has(row.id) && againAfterMs(row, now) !== null);
  const taken = rows.filter((row) => !unknown.has(row.id) || againAfterMs(row, now) === null);
  await Promise.all([
    reports.acknowledge(taken, now),
    ...NOT_FOUND_AGAIN_MS.map((delayMs) => {
      const kept = again.filter((row) => againAfterMs(row, now) === delayMs);
      return kept.length > 0 && reports.postpone(kept, Math.floor(now.steadyMs + delayMs), now);
    }),
    answer.moreMessages && service.runNow(),
    reports.saveClient(following.remembered),
    reports.saveCall(lastCall("ok", { ...session, ...following }, look, now)),
  ]);

  const ms = now.steadyMs - startedMs;
  metrics.posted.inc(taken.length);
  for (const row of taken) metrics.age.observe(Math.max(0, now.wallMs - row.updatedMs) / 1000);
  if (rows.length === 0) log.polled({ queued: answer.queued, ms, ...session.named });
  else log.reported({ count: taken.length, ms, ...session.named });
}

/** For people: what came of it, and when the client is polled next. */
function lastCall(outcome: string, session: Session, look: Look, now: Instant): LastCall {
  const nextMs = nextCallMs(session, { ...look, nextReportMs: null });
  return { atMs: Math.floor(now.steadyMs), outcome, nextMs: Number.isFinite(nextMs) ? Math.ceil(nextMs) : null };
}

/** Null: it is taken as reported, although the client does not know it. */
function againAfterMs(row: ReportRow, now: Instant): number | null {
  if (now.wallMs - row.createdMs >= NOT_FOUND_FOR_MS) return null;
  return NOT_FOUND_AGAIN_MS[row.tries] ?? null;
}
