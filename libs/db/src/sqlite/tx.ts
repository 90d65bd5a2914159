import type { Instant } from "@async-mail/domain/time";
import type { Database } from "better-sqlite3";
import { saveTotals } from "./limits.ts";
import { findQueue, hasCounted, loadQueue, type Queue, refreshQueue, saveQueue } from "./queue-row.ts";
import { loadService, type ServiceRow, saveService } from "./service-row.ts";

/**
 * An open transaction. The rows that nearly every work changes (its queues, the service row) are read once, changed in
 * memory, and written once before the commit, however many works share it.
 */
export type Tx = {
  db: Database;
  /** The moment of the work that is running. */
  now: Instant;
  queue(key: number): Queue;
  /** The queue of an account; null when it never had one. */
  queueOf(accountId: string): Queue | null;
  service(): ServiceRow;
  /** A new number for a change of state; see `seq` in contract §4.1. */
  nextSeq(): number;
  flush(): void;
};

export const TENANT = "default";

export function createTx(db: Database): Tx {
  const queues = new Map<number, Queue>();
  const keys = new Map<string, number>();
  let service: ServiceRow | null = null;

  const tx: Tx = {
    db,
    now: { wallMs: 0, steadyMs: 0 },
    queue(key) {
      const queue = queues.get(key) ?? loadQueue(db, key);
      queues.set(key, queue);
      return queue;
    },
    queueOf(accountId) {
      const known = keys.get(accountId);
      if (known !== undefined) return tx.queue(known);
      const key = findQueue(db, accountId);
      if (key === null) return null;
      keys.set(accountId, key);
      return tx.queue(key);
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
        if (hasCounted(queue)) saveTotals(db, queue);
        refreshQueue(tx, queue);
        saveQueue(db, queue);
      }
      if (service) saveService(db, service, tx.now.steadyMs);
    },
  };
  return tx;
}
