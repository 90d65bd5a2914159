import type { ReportRow, Store } from "@async-mail/db/store";
import type { Clock } from "@async-mail/runtime/clock";
import type { Log } from "@async-mail/runtime/log";
import { exchange } from "./exchange.ts";
import type { Contender } from "./lead.ts";
import type { ReporterMetrics } from "./metrics.ts";
import { resting } from "./pace.ts";
import { nextPollMs } from "./poll.ts";
import { type Look, nextCallMs, type Session, type SessionOptions } from "./session.ts";

/** What the conversations with all tenants' clients share. */
export type Reporter = SessionOptions &
  Pick<Contender, "presence"> & {
    store: Pick<Store, "of" | "tenants" | "rules" | "service" | "processes">;
    clock: Pick<Clock, "now">;
    log: Pick<Log, "reported" | "polled" | "reportFailed" | "reportSetAside">;
    metrics: ReporterMetrics;
    /** 0 to 1. */
    random(): number;
    /** How often a client is polled when there are no rules. */
    intervalMs: number;
    timezone: string;
    /** The grace is over: a call under way is cut. */
    deadline: AbortSignal;
  };

/** What was to be reported is gone again: rarely so, and never to be looked for without a pause. */
const IN_VAIN_MS = 100;

/** One tenant's pass: at most one call to its client, and what its answer asks for. */
export async function reportPending(reporter: Reporter, session: Session, look: Look): Promise<void> {
  const { reports } = reporter.store.of(session.tenant);
  const remembered = session.remembered ?? (await reports.client());
  session.remembered = remembered;
  const now = reporter.clock.now();
  if (nextCallMs(session, look) > now.steadyMs) return;

  // Room for those set aside too: should all of them be due, the others are still seen.
  const due = await reports.due(look.most + session.aside.size, now);
  const rows = nextBatch(due, session, look.most);
  const pollMs = nextPollMs({ ...look, client: remembered, followUp: session.followUp });
  if (rows.length > 0 || (pollMs !== null && pollMs <= now.steadyMs))
    await exchange(reporter, session, { rows, remembered, look });
  else session.pace = resting(session.pace, now.steadyMs + IN_VAIN_MS);
}

/** The oldest that may go together. One set aside goes alone: in turn with them, but after them while calls fail. */
function nextBatch(due: ReportRow[], { aside, lastWasAside, pace }: Session, most: number): ReportRow[] {
  const itsTurn = !lastWasAside && pace.failures === 0 && pace.failedAlone === 0;
  const suspect = due.find((row) => aside.has(row.messageKey));
  const others = due.filter((row) => !aside.has(row.messageKey));
  if (suspect !== undefined && (others.length === 0 || itsTurn)) return [suspect];
  return others.slice(0, Math.min(pace.size, most));
}
