import type { LastCall, ReportRow } from "@async-mail/db/store";
import type { Instant } from "@async-mail/domain/time";
import type { CallResult } from "./client.ts";
import { afterFailure, backoffMs, mayCallAtMs } from "./pace.ts";
import type { Reporter } from "./report.ts";
import type { Session } from "./session.ts";

/** Nothing is marked; what was posted goes again, unless the fault is a single report's own. */
export async function failed(
  reporter: Reporter,
  session: Session,
  rows: ReportRow[],
  result: CallResult,
  reason: string,
  now: Instant,
): Promise<void> {
  const { store, log, metrics } = reporter;
  const retryAfterMs = result.answered ? result.retryAfterMs : null;
  const failure = { count: rows.length, answered: result.answered, suspect: session.lastWasAside, retryAfterMs };
  session.pace = afterFailure(session.pace, failure, reporter.random(), now);
  const retryMs = mayCallAtMs(session.pace, false) - now.steadyMs;
  metrics.failed.inc(rows.length);
  log.reportFailed({ reason, retryMs, count: rows.length, ...session.named });

  const alone = rows.length === 1 ? rows[0] : undefined;
  await Promise.all([
    result.answered && alone !== undefined && setAside(reporter, session, alone, reason, retryAfterMs, now),
    // Who leads now has its own to tell.
    !session.lost.aborted && store.of(session.tenant).reports.saveCall(lastCall(reason, session, now)),
  ]);
}

/** For people. */
function lastCall(outcome: string, { pace }: Session, { steadyMs }: Instant): LastCall {
  return { atMs: Math.floor(steadyMs), outcome, nextMs: Math.ceil(mayCallAtMs(pace, false)) };
}

/** Those beyond are forgotten: deleted ones come first, since whatever goes on failing is remembered anew each time. */
const MOST_ASIDE = 1000;

function remember(aside: Set<number>, key: number): void {
  aside.delete(key);
  aside.add(key);
  for (const oldest of aside) {
    if (aside.size <= MOST_ASIDE) break;
    aside.delete(oldest);
  }
}

async function setAside(
  { store, log, metrics, random }: Reporter,
  session: Session,
  row: ReportRow,
  reason: string,
  retryAfterMs: number | null,
  now: Instant,
): Promise<void> {
  const retryMs = Math.max(backoffMs(row.tries, random()), retryAfterMs ?? 0);
  await store.of(session.tenant).reports.postpone([row], Math.floor(now.steadyMs + retryMs), now);
  remember(session.aside, row.messageKey);
  metrics.setAside.inc();
  log.reportSetAside({ id: row.id, reason, retryMs, ...session.named });
}
