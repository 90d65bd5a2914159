import type { Database } from "better-sqlite3";
import { deleteMessage, type MessageRow } from "./message-row.ts";
import { statement } from "./statement.ts";
import type { Tx } from "./tx.ts";

/** Of messages deleted in one transaction: others wait for the lock meanwhile. */
export const MOST_BYTES = 8 * 1024 * 1024;

const FINAL =
  "SELECT key, queue, state, bytes, report_ms AS reportMs FROM messages WHERE tenant_id = ? AND state IN ('sent', 'error')";
const REPORTED = `${FINAL} AND reported_ms < ? ORDER BY reported_ms LIMIT ?`;
const UNREPORTED = `${FINAL} AND reported_ms IS NULL AND ended_ms < ? ORDER BY ended_ms LIMIT ?`;

type Row = Pick<MessageRow, "key" | "queue" | "state" | "bytes" | "reportMs">;

type Before = { reportedBeforeMs: number; endedBeforeMs: number | null };

export function anyToPurge(db: Database, tenant: string, before: Before): boolean {
  if (statement(db, REPORTED).get(tenant, before.reportedBeforeMs, 1) !== undefined) return true;
  return before.endedBeforeMs !== null && statement(db, UNREPORTED).get(tenant, before.endedBeforeMs, 1) !== undefined;
}

/** Deletes final messages, those reported before one moment and, where given, those that ended before another. Never others. */
export function purgeFinal(tx: Tx, tenant: string, before: Before, limit: number): number {
  const rows = statement<Row>(tx.db, REPORTED).all(tenant, before.reportedBeforeMs, limit);
  if (before.endedBeforeMs !== null) {
    rows.push(...statement<Row>(tx.db, UNREPORTED).all(tenant, before.endedBeforeMs, limit - rows.length));
  }
  let bytes = 0;
  let purged = 0;
  for (const row of rows) {
    deleteMessage(tx, row);
    purged += 1;
    bytes += row.bytes;
    if (bytes > MOST_BYTES) break;
  }
  return purged;
}
