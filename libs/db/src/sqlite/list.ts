import { setImmediate as nextTurn } from "node:timers/promises";
import type { Priority } from "@async-mail/domain/message";
import { type Instant, toWallMs } from "@async-mail/domain/time";
import type { Database } from "better-sqlite3";
import type { HistoryEntry, ListPosition, MessageFilter, MessageRecord, MessageStatus } from "../store.ts";
import { knownRecipients, type MessageRow, unlessDamaged } from "./message-row.ts";
import { shownPayload } from "./payload-row.ts";
import { isHeld, loadQueue, type Queue } from "./queue-row.ts";
import { slowed } from "./slowing.ts";
import { columnsOf, statement } from "./statement.ts";
import { closedBy, loadTenant, suspendedBatches, type TenantRow } from "./tenant-row.ts";

/** Rows looked at in one go: a rare filter over a large table must not stop the event loop. */
const STEP = 5000;

const SCAN =
  "SELECT key, priority, state, due_ms AS dueMs, account_id AS accountId, batch_code AS batchCode FROM messages " +
  "WHERE tenant_id = ? AND priority = ? AND key > ? ORDER BY key LIMIT ? + 0";
const LOWEST = 3;
const loadWhere = (db: Database) =>
  `SELECT ${columnsOf(db, "messages", "m")}, p.payload AS payload, p.recipients AS envelope FROM messages m LEFT JOIN payloads p ON p.message = m.key`;
const BY_KEY = (db: Database) => `${loadWhere(db)} WHERE m.key = ?`;
const BY_ID = (db: Database) => `${loadWhere(db)} WHERE m.tenant_id = ? AND m.id = ?`;
const HISTORY =
  "SELECT at_ms AS atMs, claim, outcome, code, response, until_ms AS untilMs FROM history WHERE message = ? ORDER BY claim";
const SERVICE = "SELECT active, (SELECT count(*) FROM processes WHERE kind = 'dispatcher') AS dispatchers FROM service";

/** Of the service and the tenant, why a message may wait. */
type Facts = { active: boolean; dispatchers: number; tenant: TenantRow; suspended: ReadonlySet<string> };

type Scanned = Pick<MessageRow, "key" | "priority" | "state" | "dueMs" | "accountId" | "batchCode">;
type Loaded = MessageRow & { payload: string | null; envelope: string | null };

type Reader = { db: Database; tenant: string; read: <T>(work: () => T) => Promise<T> };

export async function readPage(
  { db, tenant, read }: Reader,
  filter: MessageFilter,
  after: ListPosition | null,
  limit: number,
  now: Instant,
): Promise<{ records: MessageRecord[]; next: ListPosition | null }> {
  const records: MessageRecord[] = [];
  let position = after ?? { priority: -1, key: 0 };
  for (;;) {
    const step = Object.keys(filter).length > 0 ? STEP : limit - records.length;
    const scanned = await read(() => scan(db, tenant, position, step));
    const facts = await read(() => factsOf(db, tenant));
    const found = scanned.filter((row) => matches(row, filter, facts, now)).slice(0, limit - records.length);
    records.push(...(await read(() => toRecords(db, found, facts, now))));
    if (records.length === limit) {
      const last = found.at(-1)!;
      return { records, next: { priority: last.priority, key: last.key } };
    }
    if (scanned.length < step) return { records, next: null };
    position = scanned.at(-1)!;
    await nextTurn(); // a rare filter over a large table is many steps
  }
}

/**
 * The next rows in the order of the list. One priority after another: of a comparison of both columns together SQLite
 * takes only the first to the index, and reads all before the position at each step.
 */
function scan(db: Database, tenant: string, { priority, key }: ListPosition, step: number): Scanned[] {
  const rows: Scanned[] = [];
  for (let each = Math.max(priority, 0); each <= LOWEST && rows.length < step; each += 1) {
    const after = each === priority ? key : 0;
    rows.push(...statement<Scanned>(db, SCAN).all(tenant, each, after, step - rows.length));
  }
  return rows;
}

export function readMessage(
  db: Database,
  tenant: string,
  id: string,
  now: Instant,
): (MessageRecord & { history: HistoryEntry[] }) | null {
  const row = statement<Loaded>(db, BY_ID).get(tenant, id);
  if (!row) return null;
  const record = toRecord(row, loadQueue(db, row.queue), factsOf(db, tenant), now);
  return { ...record, history: statement<HistoryEntry>(db, HISTORY).all(row.key) };
}

function matches(row: Scanned, filter: MessageFilter, facts: Facts, now: Instant): boolean {
  if (filter.batchCode !== undefined && row.batchCode !== filter.batchCode) return false;
  if (filter.accountId !== undefined && row.accountId !== filter.accountId) return false;
  if (filter.activeOnly && (row.state === "sent" || row.state === "error")) return false;
  return filter.status === undefined || statusOf(row, facts, now) === filter.status;
}

type Standing = Pick<MessageRow, "state" | "dueMs" | "batchCode">;

function statusOf(row: Standing, facts: Facts, now: Instant): MessageStatus {
  if (row.state === "sent" || row.state === "error") return row.state;
  if (isSuspended(row, facts)) return "pending";
  return row.state !== "claimed" && row.dueMs > now.steadyMs ? "deferred" : "pending";
}

/** By its tenant's suspension or its batch's. What was to wait for then is of no account meanwhile. */
function isSuspended({ state, batchCode }: Standing, { tenant, suspended }: Facts): boolean {
  if (state === "sent" || state === "error" || state === "claimed") return false;
  return closedBy(tenant) !== null || (batchCode !== null && suspended.has(batchCode));
}

function toRecords(db: Database, rows: Scanned[], facts: Facts, now: Instant): MessageRecord[] {
  const queues = new Map<number, Queue>();
  return rows.flatMap(({ key }) => {
    const row = statement<Loaded>(db, BY_KEY).get(key);
    if (!row) return []; // deleted since
    const queue = queues.get(row.queue) ?? loadQueue(db, row.queue);
    queues.set(row.queue, queue);
    return toRecord(row, queue, facts, now);
  });
}

function factsOf(db: Database, id: string): Facts {
  const { active, dispatchers } = statement<{ active: number | null; dispatchers: number }>(db, SERVICE).get()!;
  const tenant = loadTenant(db, id);
  return { active: active !== 0, dispatchers, tenant, suspended: new Set(suspendedBatches(db, tenant)) };
}

function toRecord(row: Loaded, queue: Queue, facts: Facts, now: Instant): MessageRecord {
  const suspended = isSuspended(row, facts);
  return {
    id: row.id,
    status: statusOf(row, facts, now),
    accountId: row.accountId,
    batchCode: row.batchCode,
    priority: row.priority as Priority,
    deferredMs: suspended ? null : row.deferredMs,
    deferredReason: suspended ? null : row.deferredReason,
    waiting: waitingFor(row, queue, facts, now),
    sentMs: row.sentMs,
    errorMs: row.errorMs,
    error: row.error,
    reportedMs: row.reportedMs,
    createdMs: row.createdMs,
    updatedMs: row.updatedMs,
    attempts: row.attempts,
    messageId: row.messageId,
    smtpResponse: row.smtpResponse,
    recipients: knownRecipients(row.recipients, row.envelope),
    payload: unlessDamaged(() => shownPayload(row.payload)),
  };
}

/** Why a message has not gone out yet: the first thing that would have to change. */
function waitingFor(row: MessageRow, queue: Queue, facts: Facts, now: Instant): MessageRecord["waiting"] {
  if (row.state === "sent" || row.state === "error") return null;
  if (row.state === "claimed") return { reason: "being sent", untilMs: null };
  if (!facts.active) return { reason: "suspended", untilMs: null };
  const { tenant } = facts;
  const closed = closedBy(tenant);
  if (closed !== null) return { reason: closed, untilMs: null };
  if (isSuspended(row, facts)) return { reason: `batch suspended: ${row.batchCode}`, untilMs: null };
  const wall = (steadyMs: number | null) => (steadyMs === null ? null : toWallMs(steadyMs, now));
  if (isHeld(queue, now.steadyMs)) {
    return { reason: `account held: ${queue.holdReason}`, untilMs: wall(queue.holdUntilMs) };
  }
  if (queue.probe !== null)
    return { reason: `account held: ${queue.holdReason}; another message is out to try it`, untilMs: null };
  if (row.dueMs > now.steadyMs) return { reason: row.deferredReason ?? "scheduled", untilMs: wall(row.dueMs) };
  if (queue.limitedReason !== null && (queue.limitedUntilMs === null || queue.limitedUntilMs > now.steadyMs)) {
    return { reason: `account limited: ${queue.limitedReason}`, untilMs: wall(queue.limitedUntilMs) };
  }
  if (tenant.limitedReason !== null && (tenant.limitedUntilMs === null || tenant.limitedUntilMs > now.steadyMs)) {
    return { reason: `tenant limited: ${tenant.limitedReason}`, untilMs: wall(tenant.limitedUntilMs) };
  }
  const pace = slowed(queue, now.steadyMs);
  if (pace !== null && (queue.readyMs === null || queue.readyMs > now.steadyMs))
    return {
      reason: `account slowed, a message every ${pace.gapMs / 1000} s: ${pace.reason}`,
      untilMs: wall(queue.readyMs),
    };
  if (row.state === "solo")
    return { reason: `sent alone next: ${row.lostClaims} dispatchers were lost sending it`, untilMs: null };
  if (!queue.account) return { reason: "missing account configuration", untilMs: null };
  return { reason: facts.dispatchers > 0 ? "its turn" : "no dispatcher is running", untilMs: null };
}
