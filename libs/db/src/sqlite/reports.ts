import type { DeferralClass } from "@async-mail/domain/outcome";
import type { Database } from "better-sqlite3";
import type { ClientState, ReportRef, ReportRow, ReportStore } from "../store.ts";
import type { Engine } from "./engine.ts";
import { deleteMessage, knownRecipients, type MessageRow } from "./message-row.ts";
import { CLASS_BIT } from "./settle.ts";
import { columnsOf, statement } from "./statement.ts";
import type { Tx } from "./tx.ts";
import { NO_TIME } from "./writer.ts";

const DUE = (db: Database) =>
  `SELECT ${columnsOf(db, "messages", "m")}, p.recipients AS envelope FROM messages m LEFT JOIN payloads p ON p.message = m.key ` +
  "WHERE m.tenant_id = ? AND m.report_ms <= ? ORDER BY m.report_ms LIMIT ? + 0";
const NEXT_DUE = "SELECT min(report_ms) FROM messages WHERE tenant_id = ? AND report_ms IS NOT NULL";
const NEWEST = "SELECT max(key) FROM messages WHERE tenant_id = ? AND priority = ?";
const STILL =
  "SELECT deferred_reason AS reason, state, tenant_id AS tenant FROM messages WHERE key = ? AND seq = ? AND report_ms IS NOT NULL";
const ACKNOWLEDGE =
  "UPDATE messages SET report_ms = NULL, report_tries = 0, reported_ms = @wallMs, reported_classes = reported_classes | @bit WHERE key = @key";
const POSTPONE =
  "UPDATE messages SET report_ms = @untilMs, report_tries = report_tries + 1 WHERE key = @key AND seq = @seq AND report_ms IS NOT NULL";
/** Of the next in line only: the whole line may be long, and each comes to its head in time. */
const TOO_OLD =
  "SELECT key, queue, state, reportMs FROM (SELECT key, queue, state, report_ms AS reportMs, updated_ms FROM messages " +
  "WHERE tenant_id = @tenant AND report_ms IS NOT NULL ORDER BY report_ms LIMIT @limit) WHERE updated_ms < @before";
const FORGET = "UPDATE messages SET report_ms = NULL, report_tries = 0 WHERE key = ?";
const CLIENT =
  "SELECT last_call_ms AS lastCallMs, quiet_until_ms AS quietUntilMs, last_run_now AS lastRunNow FROM clients WHERE tenant_id = ?";
const SAVE_CLIENT =
  "INSERT INTO clients (tenant_id, last_call_ms, quiet_until_ms, last_run_now) VALUES (@tenantId, @lastCallMs, @quietUntilMs, @lastRunNow) " +
  "ON CONFLICT (tenant_id) DO UPDATE SET last_call_ms = excluded.last_call_ms, quiet_until_ms = excluded.quiet_until_ms, last_run_now = excluded.last_run_now";
const SAVE_CALL =
  "INSERT INTO clients (tenant_id, last_run_now, called_ms, outcome, next_call_ms) VALUES (@tenantId, 0, @atMs, @outcome, @nextMs) " +
  "ON CONFLICT (tenant_id) DO UPDATE SET called_ms = excluded.called_ms, outcome = excluded.outcome, next_call_ms = excluded.next_call_ms";
const PRIORITIES = [0, 1, 2, 3];

type Reported = MessageRow & { envelope: string | null };

export function reportStore({ db, writer }: Engine, tenant: string): ReportStore {
  return {
    due: (limit, now) =>
      writer.read(() => statement<Reported>(db, DUE).all(tenant, now.steadyMs, limit).map(toReportRow)),
    nextDueMs: () => writer.read(() => statement<number | null>(db, NEXT_DUE).pluck().get(tenant) ?? null),
    newestKey: () =>
      writer.read(() => {
        const newest = (priority: number) => statement<number | null>(db, NEWEST).pluck().get(tenant, priority) ?? 0;
        return Math.max(...PRIORITIES.map(newest));
      }),
    acknowledge: (rows, now) =>
      writer.write(now, (tx) => rows.reduce((marked, ref) => marked + acknowledge(tx, ref), 0)),
    postpone: (rows, untilMs, now) =>
      writer.write(now, (tx) => {
        for (const { messageKey, seq } of rows) {
          statement(tx.db, POSTPONE).run({ key: messageKey, seq, untilMs: Math.ceil(untilMs) });
        }
      }),
    giveUp: (endedBeforeMs, limit, now) => writer.write(now, (tx) => giveUp(tx, tenant, endedBeforeMs, limit)),
    client: () =>
      writer.read(
        () => statement<ClientState>(db, CLIENT).get(tenant) ?? { lastCallMs: null, quietUntilMs: null, lastRunNow: 0 },
      ),
    saveClient: (state) =>
      writer.write(NO_TIME, (tx) => {
        statement(tx.db, SAVE_CLIENT).run({ tenantId: tenant, ...state });
      }),
    saveCall: ({ atMs, outcome, nextMs }) =>
      writer.write(NO_TIME, (tx) => {
        const call = { atMs: Math.floor(atMs), nextMs: nextMs === null ? null : Math.floor(nextMs) };
        statement(tx.db, SAVE_CALL).run({ tenantId: tenant, outcome, ...call });
      }),
  };
}

function toReportRow(row: Reported): ReportRow {
  return {
    messageKey: row.key,
    seq: row.seq,
    id: row.id,
    accountId: row.accountId,
    priority: row.priority as ReportRow["priority"],
    createdMs: row.createdMs,
    updatedMs: row.updatedMs,
    sentMs: row.sentMs,
    errorMs: row.errorMs,
    error: row.error,
    deferredMs: row.deferredMs,
    deferredReason: row.deferredReason,
    deferredClass: classOf(row.deferredReason),
    attempts: row.attempts,
    messageId: row.messageId,
    smtpResponse: row.smtpResponse,
    recipients: knownRecipients(row.recipients, row.envelope),
    tries: row.reportTries,
  };
}

/** The word before the colon. */
function classOf(reason: string | null): DeferralClass | null {
  const word = reason?.split(":", 1)[0] ?? "";
  return word in CLASS_BIT ? (word as DeferralClass) : null;
}

/** Only the state that was posted: one that has changed since is reported again. */
function acknowledge(tx: Tx, { messageKey, seq }: ReportRef): number {
  const still = statement<{ reason: string | null; tenant: string }>(tx.db, STILL).get(messageKey, seq);
  if (!still) return 0;
  const deferral = classOf(still.reason);
  statement(tx.db, ACKNOWLEDGE).run({
    key: messageKey,
    wallMs: tx.now.wallMs,
    bit: deferral ? CLASS_BIT[deferral] : 0,
  });
  tx.tenant(still.tenant).reportsWaiting -= 1;
  return 1;
}

/** A message that has ended goes with its report; of one still on its way only the report is dropped. */
function giveUp(tx: Tx, tenant: string, before: number, limit: number): number {
  const rows = statement<Pick<MessageRow, "key" | "queue" | "state" | "reportMs">>(tx.db, TOO_OLD).all({
    tenant,
    before,
    limit,
  });
  for (const row of rows) {
    if (row.state === "sent" || row.state === "error") deleteMessage(tx, row);
    else {
      statement(tx.db, FORGET).run(row.key);
      tx.tenant(tenant).reportsWaiting -= 1;
    }
  }
  return rows.length;
}
