import type { Instant } from "@async-mail/domain/time";
import type { Database } from "better-sqlite3";
import { saveTotals } from "./limits.ts";
import { countedOf, findQueue, hasCounted, loadQueue, type Queue, refreshQueue, saveQueue } from "./queue-row.ts";
import { loadService, type ServiceRow, saveService } from "./service-row.ts";
import type { TenantRow } from "./tenant-row.ts";
import * as tenantRow from "./tenant-row.ts";
import type { Vault } from "./vault.ts";

/**
 * An open transaction. The rows that nearly every work changes (its queues, their tenants, the service row) are read
 * once, changed in memory, and written once before the commit, however many works share it.
 */
export type Tx = {
  db: Database;
  vault: Vault;
  /** The moment of the work that is running. */
  now: Instant;
  queue(key: number): Queue;
  /** The queue of a tenant's account; null when it never had one. */
  queueOf(tenant: string, accountId: string): Queue | null;
  tenant(tenant: string): TenantRow;
  /** Whether the tenant's batch is suspended. Null: no batch. */
  isSuspended(tenant: string, batchCode: string | null): boolean;
  /** Its suspensions have changed. */
  forgetSuspensions(tenant: string): void;
  /** Its row, and those of its queues, were deleted. */
  forgetTenant(tenant: string): void;
  /** A message of the queue left the line without being sent: it may have been the one that a limit waited for. */
  leftLine(queue: Queue): void;
  service(): ServiceRow;
  /** A new number for a change of state; see `seq` in contract §4.1. */
  nextSeq(): number;
  flush(): void;
};

export function createTx(db: Database, vault: Vault): Tx {
  const queues = new Map<number, Queue>();
  const keys = new Map<string, number>();
  const tenants = new Map<string, TenantRow>();
  const suspended = new Map<string, Set<string>>();
  let service: ServiceRow | null = null;

  const tx: Tx = {
    db,
    vault,
    now: { wallMs: 0, steadyMs: 0 },
    queue(key) {
      const queue = queues.get(key) ?? loadQueue(db, key);
      queues.set(key, queue);
      return queue;
    },
    queueOf(tenant, accountId) {
      const name = `${tenant.length} ${tenant}${accountId}`;
      const known = keys.get(name);
      if (known !== undefined) return tx.queue(known);
      const key = findQueue(db, tenant, accountId);
      if (key === null) return null;
      keys.set(name, key);
      return tx.queue(key);
    },
    tenant(tenant) {
      const row = tenants.get(tenant) ?? tenantRow.loadTenant(db, tenant);
      tenants.set(tenant, row);
      return row;
    },
    isSuspended(tenant, batchCode) {
      if (batchCode === null) return false;
      const row = tx.tenant(tenant);
      if (row.suspensions === 0) return false;
      const batches = suspended.get(tenant) ?? new Set(tenantRow.suspendedBatches(db, row));
      suspended.set(tenant, batches);
      return batches.has(batchCode);
    },
    forgetSuspensions: (tenant) => void suspended.delete(tenant),
    forgetTenant(tenant) {
      tenants.delete(tenant);
      for (const [key, queue] of queues) if (queue.tenantId === tenant) queues.delete(key);
    },
    leftLine(queue) {
      queue.nextRecipients = 1;
      tx.tenant(queue.tenantId).nextRecipients = 1;
    },
    service() {
      service ??= loadService(db);
      return service;
    },
    nextSeq() {
      const row = tx.service();
      // Wall time in it keeps it growing past a restored backup, which has forgotten the numbers given since.
      row.seq = Math.max(row.seq + 1, tx.now.wallMs * 1000);
      return row.seq;
    },
    flush() {
      for (const queue of queues.values()) {
        if (hasCounted(queue)) saveTotals(db, countedOf(queue));
        refreshQueue(tx, queue);
        saveQueue(db, queue);
        tx.tenant(queue.tenantId);
      }
      for (const tenant of tenants.values()) {
        if (tenantRow.hasCounted(tenant)) saveTotals(db, tenantRow.countedOf(tenant));
        tenantRow.refreshTenant(tx, tenant);
        tenantRow.saveTenant(db, tenant);
      }
      if (service) saveService(db, service, tx.now.steadyMs);
    },
  };
  return tx;
}
