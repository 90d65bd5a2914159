import type { Database } from "better-sqlite3";
import type { Operator, Suspensions, TenantServiceStore } from "../store.ts";
import type { Engine } from "./engine.ts";
import { loadService } from "./service-row.ts";
import { statement } from "./statement.ts";
import { closedBy, loadTenant, suspendedBatches } from "./tenant-row.ts";
import type { Tx } from "./tx.ts";
import { NO_TIME } from "./writer.ts";

/**
 * A tenant's switches. A whole tenant that is suspended is passed over by its row alone. Of a suspended batch, each
 * unsent message is put aside, so that claims come across none; what was not put aside yet when its turn comes, is then.
 */

const BITS: Record<Operator, number> = { tenant: 1, admin: 2 };
const ANYBODY = 3;
/** Messages put aside, or back in line, in one transaction. */
const AT_ONCE = 250;

const PENDING = "SELECT coalesce(sum(pending), 0) FROM queues WHERE tenant_id = ?";
const PENDING_OF_BATCH =
  "SELECT count(*) FROM messages WHERE tenant_id = ? AND batch_code = ? AND batch_code IS NOT NULL AND ended_ms IS NULL";
const SUSPENDED_BY = "SELECT by FROM suspensions WHERE tenant_id = ? AND batch_code = ?";
const SUSPEND =
  "INSERT INTO suspensions (tenant_id, batch_code, by) VALUES (?, ?, ?) ON CONFLICT (tenant_id, batch_code) DO UPDATE SET by = excluded.by";
const LEAVE_TO = "UPDATE suspensions SET by = by & @left WHERE tenant_id = @tenant AND by > 0";
const ENDING = "SELECT tenant_id AS tenant, batch_code AS batch FROM suspensions WHERE by = 0 LIMIT 1";
const END = "DELETE FROM suspensions WHERE tenant_id = ? AND batch_code = ? AND by = 0";
const COUNT = "SELECT count(*) FROM suspensions WHERE tenant_id = ?";
/** What is being sent comes back in line by itself, and is put aside when it is due again. */
const OF_BATCH =
  "SELECT key, queue FROM messages INDEXED BY messages_batch WHERE tenant_id = @tenant AND batch_code = @batch AND batch_code IS NOT NULL " +
  "AND ended_ms IS NULL AND suspended = @from AND state <> 'claimed' LIMIT @limit";
const MOVE = "UPDATE messages SET suspended = ? WHERE key = ?";

export function tenantServiceStore({ db, writer }: Engine, tenant: string): TenantServiceStore {
  return {
    standing: () =>
      writer.read(() => ({
        active: loadService(db).active !== 0 && closedBy(loadTenant(db, tenant)) === null,
        pendingMessages: statement<number>(db, PENDING).pluck().get(tenant)!,
      })),

    runNow: () =>
      writer.write(NO_TIME, (tx) => {
        tx.tenant(tenant).runNow += 1;
      }),

    runNowCount: () => writer.read(() => loadTenant(db, tenant).runNow),

    async suspend(batch, by, now) {
      await writer.write(now, (tx) =>
        batch === null ? suspendAll(tx, tenant, by) : suspendBatch(tx, tenant, batch, by),
      );
      if (batch !== null) while ((await writer.write(now, (tx) => putAside(tx, tenant, batch))) === AT_ONCE);
      return writer.read(() => suspensionsOf(db, tenant, batch));
    },

    async activate(batch, by, now) {
      await writer.write(now, (tx) =>
        batch === null ? activateAll(tx, tenant, by) : activateBatch(tx, tenant, batch, by),
      );
      while ((await writer.write(now, (tx) => putSomeBack(tx, AT_ONCE))) > 0);
      return writer.read(() => suspensionsOf(db, tenant, batch));
    },
  };
}

function suspensionsOf(db: Database, tenant: string, batch: string | null): Suspensions {
  const row = loadTenant(db, tenant);
  const pending =
    batch === null
      ? statement<number>(db, PENDING).pluck().get(tenant)!
      : statement<number>(db, PENDING_OF_BATCH).pluck().get(tenant, batch)!;
  return { batches: row.suspendedBy > 0 ? ["*"] : suspendedBatches(db, row), pending };
}

function suspendAll(tx: Tx, tenant: string, by: Operator): void {
  tx.tenant(tenant).suspendedBy |= BITS[by];
}

function suspendBatch(tx: Tx, tenant: string, batch: string, by: Operator): void {
  const before = statement<number>(tx.db, SUSPENDED_BY).pluck().get(tenant, batch) ?? 0;
  setSuspendedBy(tx, tenant, batch, before | BITS[by]);
}

function activateAll(tx: Tx, tenant: string, by: Operator): void {
  const row = tx.tenant(tenant);
  row.suspendedBy = leftBy(row.suspendedBy, by);
  statement(tx.db, LEAVE_TO).run({ tenant, left: leftBy(ANYBODY, by) });
  changed(tx, tenant);
}

function activateBatch(tx: Tx, tenant: string, batch: string, by: Operator): void {
  const before = statement<number>(tx.db, SUSPENDED_BY).pluck().get(tenant, batch);
  if (before !== undefined) setSuspendedBy(tx, tenant, batch, leftBy(before, by));
}

/** An admin ends what anybody began; a tenant ends what it began itself. */
function leftBy(suspendedBy: number, by: Operator): number {
  return by === "admin" ? 0 : suspendedBy & ~BITS.tenant;
}

function setSuspendedBy(tx: Tx, tenant: string, batch: string, by: number): void {
  statement(tx.db, SUSPEND).run(tenant, batch, by);
  changed(tx, tenant);
}

function changed(tx: Tx, tenant: string): void {
  tx.tenant(tenant).suspensions = statement<number>(tx.db, COUNT).pluck().get(tenant)!;
  tx.forgetSuspensions(tenant);
}

/** Answers how many. */
function putAside(tx: Tx, tenant: string, batch: string): number {
  if (!tx.isSuspended(tenant, batch)) return 0;
  return move(tx, { tenant, batch, from: 0, to: 1, limit: AT_ONCE });
}

export function anyToPutBack(db: Database): boolean {
  return statement(db, ENDING).get() !== undefined;
}

/** Of suspensions that are over, whoever's; answers how many of them, or of their messages, were dealt with. 0: none is left. */
export function putSomeBack(tx: Tx, limit: number): number {
  const ending = statement<{ tenant: string; batch: string }>(tx.db, ENDING).get();
  if (!ending) return 0;
  const moved = move(tx, { ...ending, from: 1, to: 0, limit });
  if (moved === limit) return moved;
  statement(tx.db, END).run(ending.tenant, ending.batch);
  changed(tx, ending.tenant);
  return moved + 1;
}

type Move = { tenant: string; batch: string; from: 0 | 1; to: 0 | 1; limit: number };

function move(tx: Tx, { to, ...which }: Move): number {
  const rows = statement<{ key: number; queue: number }>(tx.db, OF_BATCH).all(which);
  for (const { key, queue } of rows) {
    statement(tx.db, MOVE).run(to, key);
    tx.leftLine(tx.queue(queue)); // worked out anew: what is due of it has changed
  }
  return rows.length;
}
