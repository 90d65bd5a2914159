import { DEFAULT_ACCOUNT_ID } from "@async-mail/domain/account";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import type { Instant } from "@async-mail/domain/time";
import type { Database } from "better-sqlite3";
import type { Stall } from "../store.ts";
import { isHeld, loadQueue, type Queue } from "./queue-row.ts";
import { loadService } from "./service-row.ts";
import { gapOf } from "./slowing.ts";
import { statement } from "./statement.ts";
import { closedBy, loadTenant } from "./tenant-row.ts";

/**
 * Mail that could go out and does not: the one state in which nobody's row says why. Held, limited and slowed accounts,
 * and a suspended service, are not among it.
 */

/** More than anybody reads; the look must stay small. */
const MOST = 1000;

/** A queue is ready though its tenant may be suspended, or at a limit of its own; the tenant is not. */
const READY_SINCE =
  "SELECT q.tenant_id AS tenant, q.account_id AS account, max(q.ready_ms, t.ready_ms) AS sinceMs FROM tenants t JOIN queues q ON q.tenant_id = t.tenant " +
  "WHERE t.ready_ms <= @before AND q.ready_ms <= @before LIMIT @most";
const SOLO_SINCE =
  "SELECT m.queue, q.tenant_id AS tenant, q.account_id AS account, m.due_ms AS sinceMs FROM messages m JOIN queues q ON q.key = m.queue " +
  "WHERE m.state = 'solo' AND m.suspended = 0 AND m.due_ms <= ? ORDER BY m.due_ms LIMIT ?";
/** Only the configuration's account can be missing for long: of others the messages end with it. */
const WITHOUT_ACCOUNT =
  "SELECT q.tenant_id AS tenant, q.account_id AS account, (SELECT min(due_ms) FROM messages WHERE state = 'waiting' AND suspended = 0 AND queue = q.key) AS sinceMs " +
  "FROM queues q LEFT JOIN accounts a ON a.queue = q.key " +
  `WHERE a.queue IS NULL AND q.pending > 0 AND q.tenant_id = '${DEFAULT_TENANT}' AND q.account_id = '${DEFAULT_ACCOUNT_ID}' AND sinceMs <= ?`;
const DISPATCHERS = "SELECT count(*) FROM processes WHERE kind = 'dispatcher'";

type Waiting = { tenant: string; account: string; sinceMs: number };

/** What has been waiting so for `afterMs`; null: nothing. */
export function stalled(db: Database, afterMs: number, now: Instant): Stall | null {
  if (loadService(db).active === 0) return null;
  const beforeMs = now.steadyMs - afterMs;
  const missing = statement<Waiting>(db, WITHOUT_ACCOUNT).all(beforeMs);
  const ready = statement<Waiting>(db, READY_SINCE).all({ before: beforeMs, most: MOST });
  const solo = statement<Waiting & { queue: number }>(db, SOLO_SINCE)
    .all(beforeMs, MOST)
    .filter(({ queue }) => mayGo(db, loadQueue(db, queue), now.steadyMs));
  const all = [...missing, ...ready, ...solo].sort((one, other) => one.sinceMs - other.sinceMs);
  if (all.length === 0) return null;
  return {
    accounts: [...new Set(all.map(nameOf))],
    oldestMs: now.steadyMs - all[0]!.sinceMs,
    reason: reasonOf(db, missing.length === all.length),
  };
}

function nameOf({ tenant, account }: Waiting): string {
  return tenant === DEFAULT_TENANT ? account : `${tenant}/${account}`;
}

function mayGo(db: Database, queue: Queue, steadyMs: number): boolean {
  if (closedBy(loadTenant(db, queue.tenantId)) !== null) return false;
  const limited = queue.limitedReason !== null && (queue.limitedUntilMs === null || queue.limitedUntilMs > steadyMs);
  return !isHeld(queue, steadyMs) && queue.probe === null && !limited && gapOf(queue, steadyMs) === 0;
}

function reasonOf(db: Database, allMissing: boolean): string {
  if (allMissing) return "missing account configuration: smtp.host is not set any more";
  if (statement<number>(db, DISPATCHERS).pluck().get() === 0) return "no dispatcher is running";
  return "no dispatcher has a free slot or connection for it";
}
