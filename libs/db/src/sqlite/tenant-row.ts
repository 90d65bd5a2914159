import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import type { Database } from "better-sqlite3";
import { TenantGone } from "../store.ts";
import { blockedBy, type Counted, countedAs } from "./limits.ts";
import type { tenants } from "./schema.ts";
import { columnsOf, statement, updateOf } from "./statement.ts";
import type { Tx } from "./tx.ts";

/** A row of `tenants` while a transaction works on it, as SQLite gives it: booleans are 0 and 1. */
export type TenantRow = Omit<typeof tenants.$inferSelect, "active"> & { active: number };

const SELECT = (db: Database) => `SELECT ${columnsOf(db, "tenants", "t")} FROM tenants t WHERE t.tenant = ?`;
const UPDATE = (db: Database) => updateOf(db, "tenants", "key", ["tenant", "id", "created_ms"]);
const READY = "SELECT min(ready_ms) FROM queues WHERE tenant_id = ? AND ready_ms IS NOT NULL";
const IMMEDIATE = "SELECT min(immediate_ms) FROM queues WHERE tenant_id = ? AND immediate_ms IS NOT NULL";
const SUSPENDED = "SELECT batch_code FROM suspensions WHERE tenant_id = ? AND by > 0 ORDER BY batch_code";

/** Each row as it was read. */
const asRead = new WeakMap<TenantRow, TenantRow>();

export function loadTenant(db: Database, tenant: string): TenantRow {
  const row = statement<TenantRow>(db, SELECT).get(tenant);
  if (row === undefined) throw new TenantGone(`the tenant ${tenant} is there no more`);
  asRead.set(row, { ...row });
  return row;
}

/** Writes what changed, and nothing otherwise: a write without a change would wake every other process. */
export function saveTenant(db: Database, row: TenantRow): void {
  const before = asRead.get(row)!;
  const names = Object.keys(before) as (keyof TenantRow)[];
  if (names.some((name) => before[name] !== row[name])) statement(db, UPDATE).run(row);
}

/** Attempts have been counted since it was read. */
export function hasCounted(row: TenantRow): boolean {
  return asRead.get(row)!.sendsTotal !== row.sendsTotal;
}

export function countedOf(row: TenantRow): Counted {
  return countedAs(-row.key, limitsOf(row), row);
}

export function limitsOf(row: TenantRow) {
  const { limitPerMinute: perMinute, limitPerHour: perHour, limitPerDay: perDay } = row;
  return { perMinute, perHour, perDay, recipientsPerDay: row.limitRecipientsPerDay };
}

/** For what is asked for a tenant: it may have been deleted since it was found. Throws TenantGone. */
export function mustBeLive(row: TenantRow): void {
  if (row.deletedMs !== null) throw new TenantGone(`the tenant ${row.id} was deleted`);
}

/** Why nothing of it may leave; null: it may. */
export function closedBy(row: Pick<TenantRow, "deletedMs" | "active" | "suspendedBy">): string | null {
  if (row.deletedMs !== null) return "tenant deleted";
  if (row.active === 0) return "tenant not active";
  return row.suspendedBy > 0 ? "suspended" : null;
}

/** Its batches that are suspended now. */
export function suspendedBatches(db: Database, row: TenantRow): string[] {
  return row.suspensions === 0 ? [] : statement<string>(db, SUSPENDED).pluck().all(row.tenant);
}

/** Works out anew when the tenant may next be claimed from. Called once for each one whose queues a transaction touched, after these were written. */
export function refreshTenant(tx: Tx, row: TenantRow): void {
  const open = opensAt(tx, row);
  row.readyMs = open === null ? null : later(open, earliest(tx, row, READY));
  row.immediateMs = row.readyMs === null ? null : later(open!, earliest(tx, row, IMMEDIATE));
}

function opensAt(tx: Tx, row: TenantRow): number | null {
  const limit = blockedBy(tx, countedOf(row));
  row.limitedReason = limit?.reason ?? null;
  row.limitedUntilMs = limit?.untilMs ?? null;
  if (closedBy(row) !== null) return null;
  if (limit === null) return row.servedMs;
  return limit.untilMs === null ? null : Math.max(row.servedMs, limit.untilMs);
}

function earliest(tx: Tx, row: TenantRow, sql: string): number | null {
  return statement<number | null>(tx.db, sql).pluck().get(row.tenant) ?? null;
}

function later(open: number, ready: number | null): number | null {
  return ready === null ? null : Math.max(open, ready);
}

/** The configuration's account and client are its. */
export function isDefault({ tenant }: Pick<TenantRow, "tenant">): boolean {
  return tenant === DEFAULT_TENANT;
}
