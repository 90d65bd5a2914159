import type { HistoryEntry, MessageRecord } from "@async-mail/db/store";
import { toSeconds } from "@async-mail/domain/time";
import { isoTime } from "@async-mail/runtime/clock";
import * as v from "valibot";
import { withoutNulls } from "./answers.ts";
import type { Scope } from "./scope.ts";

const seconds = v.pipe(v.number(), v.description("Epoch seconds"));
const iso = v.pipe(v.string(), v.isoTimestamp());

export const STATUSES = ["pending", "deferred", "sent", "error"] as const;

const RecipientSchema = v.object({
  address: v.string(),
  outcome: v.picklist(["accepted", "refused", "waiting"]),
  code: v.optional(v.number()),
  response: v.optional(v.string()),
});

const HistorySchema = v.object({
  at: iso,
  claim: v.number(),
  outcome: v.string(),
  code: v.optional(v.number()),
  response: v.optional(v.string()),
  until: v.optional(iso),
});

/** A message as GET /messages shows it, contract §3.3. Fields that have no value are left out. */
export const RecordSchema = v.pipe(
  v.strictObject({
    id: v.string(),
    tenant_id: v.pipe(v.optional(v.string()), v.description("In calls with tenants.")),
    status: v.picklist(STATUSES),
    account_id: v.optional(v.string()),
    batch_code: v.optional(v.string()),
    priority: v.picklist([0, 1, 2, 3]),
    deferred_ts: v.optional(seconds),
    deferred_reason: v.optional(v.string()),
    waiting: v.optional(v.object({ reason: v.string(), until: v.optional(iso) })),
    sent_ts: v.optional(seconds),
    error_ts: v.optional(seconds),
    error: v.optional(v.string()),
    reported_ts: v.optional(seconds),
    created_at: iso,
    updated_at: iso,
    attempts: v.number(),
    message_id: v.string(),
    smtp_response: v.optional(v.string()),
    recipients: v.array(RecipientSchema),
    message: v.pipe(
      v.optional(v.record(v.string(), v.unknown())),
      v.description("The accepted fields; inline content is replaced by its size, secrets in URLs are masked"),
    ),
    history: v.optional(v.array(HistorySchema)),
  }),
  v.metadata({ ref: "Record" }),
);

export type RecordView = v.InferOutput<typeof RecordSchema>;

export function toRecord(
  row: MessageRecord & { history?: HistoryEntry[] },
  { id: tenant, withTenants }: Pick<Scope, "id" | "withTenants">,
): RecordView {
  return {
    id: row.id,
    ...(withTenants && { tenant_id: tenant }),
    status: row.status,
    priority: row.priority,
    created_at: isoTime(row.createdMs),
    updated_at: isoTime(row.updatedMs),
    attempts: row.attempts,
    message_id: row.messageId,
    recipients: row.recipients,
    ...withoutNulls({
      message: row.payload && (withTenants ? { ...row.payload, retry_count: retriesOf(row) } : row.payload),
      account_id: row.accountId,
      batch_code: row.batchCode,
      deferred_ts: toTs(row.deferredMs),
      deferred_reason: row.deferredReason,
      waiting: row.waiting && withoutNulls({ reason: row.waiting.reason, until: toIso(row.waiting.untilMs) }),
      sent_ts: toTs(row.sentMs),
      error_ts: toTs(row.errorMs),
      error: row.errorMs === null ? null : row.error,
      reported_ts: toTs(row.reportedMs),
      smtp_response: row.smtpResponse,
    }),
    ...(row.history && { history: row.history.map(toHistory) }),
  };
}

function toHistory({ atMs, claim, outcome, code, response, untilMs }: HistoryEntry) {
  return { at: isoTime(atMs), claim, outcome, ...withoutNulls({ code, response, until: toIso(untilMs) }) };
}

function toTs(ms: number | null): number | null {
  return ms === null ? null : toSeconds(ms);
}

function toIso(ms: number | null): string | null {
  return ms === null ? null : isoTime(ms);
}

/** How often it was, or is to be, sent again: what the field's client looks for in the message. */
function retriesOf({ attempts, status }: MessageRecord): number {
  const isFinal = status === "sent" || status === "error";
  return Math.max(0, attempts - (isFinal ? 1 : 0));
}
