import type { Priority } from "./message.ts";

export { type Answer, quietUntilMs, readAnswer } from "./answer.ts";

import type { Recipient } from "./outcome.ts";
import { toSeconds } from "./time.ts";

/** A message's state, as the store tells it for a report. Times are wall ms. */
export type Reportable = {
  seq: number;
  id: string;
  accountId: string | null;
  priority: Priority;
  sentMs: number | null;
  errorMs: number | null;
  error: string | null;
  deferredMs: number | null;
  deferredReason: string | null;
  attempts: number;
  messageId: string;
  smtpResponse: string | null;
  recipients: Recipient[];
};

/** One entry of `delivery_report`, contract §4.1. At most one of the three times is set. */
export type ReportItem = {
  id: string;
  account_id: string | null;
  priority: Priority;
  sent_ts: number | null;
  error_ts: number | null;
  error: string | null;
  deferred_ts: number | null;
  deferred_reason?: string;
  attempts: number;
  message_id: string;
  smtp_response?: string;
  recipients?: Recipient[];
  seq: number;
};

export function toReport(row: Reportable): ReportItem {
  const { id, accountId, priority, attempts, messageId, smtpResponse, recipients, seq } = row;
  const item: ReportItem = {
    id,
    account_id: accountId,
    priority,
    ...stateOf(row),
    attempts,
    message_id: messageId,
    seq,
  };
  if (smtpResponse !== null) item.smtp_response = smtpResponse;
  if (recipients.length > 0) item.recipients = recipients;
  return item;
}

type State = Pick<ReportItem, "sent_ts" | "error_ts" | "error" | "deferred_ts" | "deferred_reason">;

/** A final state leaves out how the message had waited before it. */
function stateOf({ sentMs, errorMs, error, deferredMs, deferredReason }: Reportable): State {
  const state: State = { sent_ts: null, error_ts: null, error: null, deferred_ts: null };
  if (sentMs !== null) return { ...state, sent_ts: toSeconds(sentMs) };
  if (errorMs !== null) return { ...state, error_ts: toSeconds(errorMs), error };
  if (deferredMs === null) return state;
  state.deferred_ts = toSeconds(deferredMs);
  return deferredReason === null ? state : { ...state, deferred_reason: deferredReason };
}
