import { endOf } from "@async-mail/domain/decide";
import type { FinalOutcome } from "@async-mail/domain/outcome";
import { type AttemptRow, knownRecipients, SELECT_ATTEMPT } from "./message-row.ts";
import type { Queue } from "./queue-row.ts";
import { statement } from "./statement.ts";
import type { Tx } from "./tx.ts";

const FINISH =
  "UPDATE messages SET state = @state, process = NULL, sent_ms = @sentMs, error_ms = @errorMs, ended_ms = @wallMs, error = @error, " +
  "deferred_ms = NULL, deferred_reason = NULL, suspended = 0, attempts = @attempts, recipients = @recipients, smtp_response = @response, " +
  "updated_ms = @wallMs, seq = @seq, report_ms = @steadyMs, report_tries = 0, reported_ms = NULL WHERE key = @key";
const LOAD = `${SELECT_ATTEMPT} WHERE key = ?`;
const ENVELOPE = "SELECT recipients FROM payloads WHERE message = ?";

/** A message's last state, to be reported. */
export function finish(tx: Tx, row: AttemptRow, queue: Queue, outcome: FinalOutcome): void {
  const { wallMs, steadyMs } = tx.now;
  const sent = outcome.kind === "sent";
  statement(tx.db, FINISH).run({
    key: row.key,
    state: outcome.kind,
    wallMs,
    steadyMs,
    sentMs: sent ? wallMs : null,
    errorMs: sent ? null : wallMs,
    error: sent ? null : outcome.error,
    attempts: row.attempts + (outcome.mailFromSent ? 1 : 0),
    recipients: JSON.stringify(outcome.recipients),
    response: outcome.response ?? row.smtpResponse,
    seq: tx.nextSeq(),
  });
  queue.pending -= 1;
  if (sent) queue.sent += 1;
  else queue.errors += 1;
  if (row.reportMs === null) tx.tenant(queue.tenantId).reportsWaiting += 1;
}

/** Ends a message that waits, without an attempt: expired, account deleted, over the limit. */
export function endWaiting(tx: Tx, key: number, queue: Queue, error: string): void {
  const row = statement<AttemptRow>(tx.db, LOAD).get(key)!;
  tx.leftLine(queue);
  finish(tx, row, queue, ended(tx, row, error, false));
}

/** An end with each recipient's: whoever was accepted before stays so, and the message then counts as sent. */
export function ended(tx: Tx, row: AttemptRow, error: string, mailFromSent: boolean): FinalOutcome {
  const envelope = statement<string>(tx.db, ENVELOPE).pluck().get(row.key) ?? null;
  return endOf(knownRecipients(row.recipients, envelope), error, mailFromSent);
}
