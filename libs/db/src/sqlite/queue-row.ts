import type { Account } from "@async-mail/domain/account";
import type { Database } from "better-sqlite3";
import { CLAIMS_PER_CONNECTION } from "../store.ts";
import { blockedBy, type Counted, countedAs } from "./limits.ts";
import type { accounts, queues } from "./schema.ts";
import { gapOf } from "./slowing.ts";
import { columnsOf, statement, updateOf } from "./statement.ts";
import type { Tx } from "./tx.ts";

/** A row of `queues` while a transaction works on it, with its account; null: deleted, or never configured. */
export type Queue = QueueRow & { account: StoredAccount | null };

/** As it stands in the file: its password is opened (vault.ts) when a dispatcher is given it, and never else. */
export type StoredAccount = Omit<Account, "password"> & { sealedPassword: string | null };

type QueueRow = typeof queues.$inferSelect;

type AccountColumns = typeof accounts.$inferSelect;

const SELECT_QUEUE = (db: Database) => `SELECT ${columnsOf(db, "queues", "q")} FROM queues q WHERE q.key = ?`;
const SELECT_ACCOUNT = (db: Database) => `SELECT ${columnsOf(db, "accounts", "a")} FROM accounts a WHERE a.queue = ?`;
const FIND = "SELECT key FROM queues WHERE tenant_id = ? AND account_id = ?";
const UPDATE = (db: Database) => updateOf(db, "queues", "key", ["tenant_id", "account_id"]);
const INSERT = "INSERT INTO queues (tenant_id, account_id) VALUES (?, ?)";
const EARLIEST = "SELECT min(due_ms) FROM messages WHERE state = 'waiting' AND suspended = 0 AND queue = ?";
const EARLIEST_IMMEDIATE = `${EARLIEST} AND priority = 0`;

/** Claims of a queue for each of its connections over all dispatchers at most, where messages leave faster than claims are made. */
const MOST_AHEAD = 100;
/** Claims of a queue beyond those: of messages whose attachments are on their way, which use no connection. */
const FETCHING = 100;

/** Each queue as it was read. */
const asRead = new WeakMap<Queue, QueueRow>();

export function loadQueue(db: Database, key: number): Queue {
  const row = statement<QueueRow>(db, SELECT_QUEUE).get(key)!;
  const queue = { ...row, account: loadAccount(db, key, row.accountId) };
  asRead.set(queue, row);
  return queue;
}

function loadAccount(db: Database, queue: number, id: string): StoredAccount | null {
  const row = statement<AccountColumns>(db, SELECT_ACCOUNT).get(queue);
  return row ? toAccount(row, id) : null;
}

function toAccount(row: AccountColumns, id: string): StoredAccount {
  return {
    id,
    host: row.host,
    port: row.port,
    user: row.user,
    sealedPassword: row.password,
    useTls: row.useTls === null ? null : Boolean(row.useTls),
    security: row.security,
    ttlSeconds: row.ttlSeconds,
    limits: {
      perMinute: row.limitPerMinute,
      perHour: row.limitPerHour,
      perDay: row.limitPerDay,
      recipientsPerDay: row.limitRecipientsPerDay,
    },
    limitBehavior: row.limitBehavior,
    maxConnections: row.maxConnections,
    batchSize: row.batchSize,
    timeoutSeconds: row.timeoutSeconds,
    tlsCa: row.tlsCa,
    tlsServername: row.tlsServername,
    onAmbiguous: row.onAmbiguous,
  };
}

export function findQueue(db: Database, tenant: string, accountId: string): number | null {
  return statement<number>(db, FIND).pluck().get(tenant, accountId) ?? null;
}

/** The queue of an account that is being made; the one it had before, if there was one. */
export function ensureQueue(tx: Tx, tenant: string, accountId: string): Queue {
  return (
    tx.queueOf(tenant, accountId) ?? tx.queue(Number(statement(tx.db, INSERT).run(tenant, accountId).lastInsertRowid))
  );
}

export function countedOf(queue: Queue): Counted {
  return countedAs(queue.key, queue.account?.limits ?? null, queue);
}

/** Attempts have been counted since it was read. */
export function hasCounted(queue: Queue): boolean {
  return asRead.get(queue)!.sendsTotal !== queue.sendsTotal;
}

/** Writes what changed. Nothing otherwise: a write without a change would wake every other process. */
export function saveQueue(db: Database, queue: Queue): void {
  const before = asRead.get(queue)!;
  const { account: _, ...row } = queue;
  const names = Object.keys(before) as (keyof QueueRow)[];
  if (names.some((name) => before[name] !== row[name])) statement(db, UPDATE).run(row);
}

/** Nothing may be claimed from it now, by a fault or an operator. */
export function isHeld(queue: Pick<Queue, "heldBy" | "holdUntilMs">, steadyMs: number): boolean {
  return queue.heldBy !== null && (queue.holdUntilMs === null || queue.holdUntilMs > steadyMs);
}

/** Works out anew when the queue may next be claimed from. Called once for each queue a transaction touched. */
export function refreshQueue(tx: Tx, queue: Queue): void {
  const open = opensAt(tx, queue);
  queue.readyMs = open === null ? null : later(open, earliestDue(tx, queue, EARLIEST));
  queue.immediateMs = queue.readyMs === null ? null : later(open!, earliestDue(tx, queue, EARLIEST_IMMEDIATE));
}

/** The first moment at which a due message could be claimed; null: not before something ends. */
function opensAt(tx: Tx, queue: Queue): number | null {
  const limit = blockedBy(tx, countedOf(queue));
  queue.limitedReason = limit?.reason ?? null;
  queue.limitedUntilMs = limit?.untilMs ?? null;

  if (!queue.account) return null;
  if (placesOf(queue) <= 0) return null;
  if (queue.probe !== null) return null; // one at a time
  let open = queue.servedMs + gapOf(queue, tx.now.steadyMs);
  if (queue.heldBy !== null) {
    if (queue.holdUntilMs === null) return null;
    open = Math.max(open, queue.holdUntilMs);
  }
  if (limit && queue.account.limitBehavior === "defer") {
    if (limit.untilMs === null) return null;
    open = Math.max(open, limit.untilMs);
  }
  return open;
}

/** Claims that may still be made of the queue, over all dispatchers. */
export function placesOf({ capacity, inFlight }: Queue): number {
  return capacity === null
    ? Number.POSITIVE_INFINITY
    : (capacity / CLAIMS_PER_CONNECTION) * MOST_AHEAD + FETCHING - inFlight;
}

function earliestDue(tx: Tx, queue: Queue, sql: string): number | null {
  return statement<number | null>(tx.db, sql).pluck().get(queue.key) ?? null;
}

function later(open: number, due: number | null): number | null {
  return due === null ? null : Math.max(open, due);
}
