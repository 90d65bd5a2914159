import { setImmediate as nextTurn } from "node:timers/promises";
import type { Priority } from "@async-mail/domain/message";
import { type Instant, toWallMs } from "@async-mail/domain/time";
import type { Database } from "better-sqlite3";
import type { HistoryEntry, ListPosition, MessageFilter, MessageRecord, MessageStatus } from "../store.ts";
import { knownPayload, knownRecipients, type MessageRow } from "./message-row.ts";
import { isHeld, loadQueue, type Queue } from "./queue-row.ts";
import { slowed } from "./slowing.ts";
import { columnsOf, statement } from "./statement.ts";

/** Rows looked at in one go: a rare filter over a large table must not stop the event loop. */
const STEP = 5000;

const SCAN =
  "SELECT key, priority, state, due_ms AS dueMs, account_id AS accountId FROM messages " +
  "WHERE tenant_id = 'default' AND priority = ? AND key > ? ORDER BY key LIMIT ? + 0";
const LOWEST = 3;
const loadWhere = (db: Database) =>
  `SELECT ${columnsOf(db, "messages", "m")}, p.payload AS payload, p.recipients AS envelope FROM messages m LEFT JOIN payloads p ON p.message = m.key`;
const BY_KEY = (db: Database) => `${loadWhere(db)} WHERE m.key = ?`;
const BY_ID = (db: Database) => `${loadWhere(db)} WHERE m.tenant_id = 'default' AND m.id = ?`;
const HISTORY =
  "SELECT at_ms AS atMs, claim, outcome, code, response, until_ms AS untilMs FROM history WHERE message = ? ORDER BY claim";
const SERVICE = "SELECT active, (SELECT count(*) FROM processes WHERE kind = 'dispatcher') AS dispatchers FROM service";

/** Of the whole service, why a message may wait. */
type ServiceFacts = { active: boolean; dispatchers: number };

type Scanned = Pick<MessageRow, "key" | "priority" | "state" | "dueMs" | "accountId">;
type Loaded = MessageRow & { payload: string | null; envelope: string | null };

export async function readPage(
  db: Database,
  read: <T>(work: () => T) => Promise<T>,
  filter: MessageFilter,
  after: ListPosition | null,
  limit: number,
  now: Instant,
): Promise<{ records: MessageRecord[]; next: ListPosition | null }> {
  const records: MessageRecord[] = [];
  let position = after ?? { priority: -1, key: 0 };
  for (;;) {
    const step = filter.status || filter.activeOnly || filter.accountId !== undefined ? STEP : limit - records.length;
    const scanned = await read(() => scan(db, position, step));
    const found = scanned.filter((row) => matches(row, filter, now)).slice(0, limit - records.length);
    records.push(...(await read(() => toRecords(db, found, now))));
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
function scan(db: Database, { priority, key }: ListPosition, step: number): Scanned[] {
  const rows: Scanned[] = [];
  for (let each = Math.max(priority, 0); each <= LOWEST && rows.length < step; each += 1) {
    const after = each === priority ? key : 0;
    rows.push(...statement<Scanned>(db, SCAN).all(each, after, step - rows.length));
  }
  return rows;
}

export function readMessage(
  db: Database,
  id: string,
  now: Instant,
): (MessageRecord & { history: HistoryEntry[] }) | null {
  const row = statement<Loaded>(db, BY_ID).get(id);
  if (!row) return null;
  const record = toRecord(row, loadQueue(db, row.queue), factsOf(db), now);
  return { ...record, history: statement<HistoryEntry>(db, HISTORY).all(row.key) };
}

function matches(row: Scanned, filter: MessageFilter, now: Instant): boolean {
  if (filter.accountId !== undefined && row.accountId !== filter.accountId) return false;
  if (filter.activeOnly && (row.state === "sent" || row.state === "error")) return false;
  return filter.status === undefined || statusOf(row, now) === filter.status;
}

function statusOf(row: Pick<MessageRow, "state" | "dueMs">, now: Instant): MessageStatus {
  if (row.state === "sent" || row.state === "error") return row.state;
  return row.state !== "claimed" && row.dueMs > now.steadyMs ? "deferred" : "pending";
}

function toRecords(db: Database, rows: Scanned[], now: Instant): MessageRecord[] {
  const service = factsOf(db);
  const queues = new Map<number, Queue>();
  return rows.flatMap(({ key }) => {
    const row = statement<Loaded>(db, BY_KEY).get(key);
    if (!row) return []; // deleted since
    const queue = queues.get(row.queue) ?? loadQueue(db, row.queue);
    queues.set(row.queue, queue);
    return toRecord(row, queue, service, now);
  });
}

function factsOf(db: Database): ServiceFacts {
  const { active, dispatchers } = statement<{ active: number | null; dispatchers: number }>(db, SERVICE).get()!;
  return { active: active !== 0, dispatchers };
}

function toRecord(row: Loaded, queue: Queue, service: ServiceFacts, now: Instant): MessageRecord {
  return {
    id: row.id,
    status: statusOf(row, now),
    accountId: row.accountId,
    priority: row.priority as Priority,
    deferredMs: row.deferredMs,
    deferredReason: row.deferredReason,
    waiting: waitingFor(row, queue, service, now),
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
    payload: knownPayload(row.payload),
  };
}

/** Why a message has not gone out yet: the first thing that would have to change. */
function waitingFor(row: MessageRow, queue: Queue, service: ServiceFacts, now: Instant): MessageRecord["waiting"] {
  if (row.state === "sent" || row.state === "error") return null;
  if (row.state === "claimed") return { reason: "being sent", untilMs: null };
  if (!service.active) return { reason: "suspended", untilMs: null };
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
  const pace = slowed(queue, now.steadyMs);
  if (pace !== null && (queue.readyMs === null || queue.readyMs > now.steadyMs))
    return {
      reason: `account slowed, a message every ${pace.gapMs / 1000} s: ${pace.reason}`,
      untilMs: wall(queue.readyMs),
    };
  if (row.state === "solo")
    return { reason: `sent alone next: ${row.lostClaims} dispatchers were lost sending it`, untilMs: null };
  if (!queue.account) return { reason: "missing account configuration", untilMs: null };
  return { reason: service.dispatchers > 0 ? "its turn" : "no dispatcher is running", untilMs: null };
}
