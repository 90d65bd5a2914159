import type { Database } from "better-sqlite3";
import type { Withheld } from "../store.ts";
import { isHeld, loadQueue } from "./queue-row.ts";
import { loadService } from "./service-row.ts";
import { statement } from "./statement.ts";
import { closedBy, loadTenant } from "./tenant-row.ts";

const ANY_SUSPENDED = "SELECT 1 FROM suspensions WHERE by > 0 LIMIT 1";
const CLAIMED_SUSPENDED =
  "SELECT m.key FROM messages m JOIN suspensions s ON s.tenant_id = m.tenant_id AND s.batch_code = m.batch_code " +
  "WHERE m.state = 'claimed' AND m.process = ? AND s.by > 0";

/** What a process has claimed and is not to begin now. A read; `accountKeys`: the accounts that it has messages of. */
export function withheld(db: Database, process: number, accountKeys: number[], steadyMs: number): Withheld {
  if (loadService(db).active === 0) return "all";
  const closed = new Map<string, boolean>();
  const isClosed = (tenant: string) => {
    const known = closed.get(tenant) ?? closedBy(loadTenant(db, tenant)) !== null;
    closed.set(tenant, known);
    return known;
  };
  const accounts = accountKeys.filter((key) => {
    const queue = loadQueue(db, key);
    // Deleted: what was not begun ends with it. Of a fault's hold that has run out, one message is out to try.
    return queue.account === null || isHeld(queue, steadyMs) || isClosed(queue.tenantId);
  });
  const anySuspended = statement(db, ANY_SUSPENDED).get() !== undefined;
  const messages = anySuspended ? statement<number>(db, CLAIMED_SUSPENDED).pluck().all(process) : [];
  return { accounts: new Set(accounts), messages: new Set(messages) };
}
