import { DEFAULT_ACCOUNT_ID } from "@async-mail/domain/account";
import type { Instant } from "@async-mail/domain/time";
import type { Database } from "better-sqlite3";
import type { Stall } from "../store.ts";
import { isHeld, loadQueue, type Queue } from "./queue-row.ts";
import { loadService } from "./service-row.ts";
import { gapOf } from "./slowing.ts";
import { statement } from "./statement.ts";

/**
 * Mail that could go out and does not: the one state in which nobody's row says why. Held, limited and slowed accounts,
 * and a suspended service, are not among it.
 */

/** More than anybody reads; the look must stay small. */
const MOST = 1000;

const READY_SINCE =
  "SELECT account_id AS account, ready_ms AS sinceMs FROM queues WHERE ready_ms <= ? ORDER BY ready_ms LIMIT ?";
const SOLO_SINCE =
  "SELECT m.queue, q.account_id AS account, m.due_ms AS sinceMs FROM messages m JOIN queues q ON q.key = m.queue WHERE m.state = 'solo' AND m.due_ms <= ? ORDER BY m.due_ms LIMIT ?";
/** Only the configuration's account can be missing for long: of others the messages end with it. */
const WITHOUT_ACCOUNT =
  "SELECT q.account_id AS account, (SELECT min(due_ms) FROM messages WHERE state = 'waiting' AND queue = q.key) AS sinceMs " +
  "FROM queues q LEFT JOIN accounts a ON a.queue = q.key " +
  `WHERE a.queue IS NULL AND q.pending > 0 AND q.account_id = '${DEFAULT_ACCOUNT_ID}' AND sinceMs <= ?`;
const DISPATCHERS = "SELECT count(*) FROM processes WHERE kind = 'dispatcher'";

type Waiting = { account: string; sinceMs: number };

/** What has been waiting so for `afterMs`; null: nothing. */
export function stalled(db: Database, afterMs: number, now: Instant): Stall | null {
  if (loadService(db).active === 0) return null;
  const beforeMs = now.steadyMs - afterMs;
  const missing = statement<Waiting>(db, WITHOUT_ACCOUNT).all(beforeMs);
  const ready = statement<Waiting>(db, READY_SINCE).all(beforeMs, MOST);
  const solo = statement<Waiting & { queue: number }>(db, SOLO_SINCE)
    .all(beforeMs, MOST)
    .filter(({ queue }) => mayGo(loadQueue(db, queue), now.steadyMs));
  const all = [...missing, ...ready, ...solo];
  if (all.length === 0) return null;
  return {
    accounts: [...new Set(all.map(({ account }) => account))],
    oldestMs: now.steadyMs - Math.min(...all.map(({ sinceMs }) => sinceMs)),
    reason: reasonOf(db, missing.length === all.length),
  };
}

function mayGo(queue: Queue, steadyMs: number): boolean {
  const limited = queue.limitedReason !== null && (queue.limitedUntilMs === null || queue.limitedUntilMs > steadyMs);
  return !isHeld(queue, steadyMs) && queue.probe === null && !limited && gapOf(queue, steadyMs) === 0;
}

function reasonOf(db: Database, allMissing: boolean): string {
  if (allMissing) return "missing account configuration: smtp.host is not set any more";
  if (statement<number>(db, DISPATCHERS).pluck().get() === 0) return "no dispatcher is running";
  return "no dispatcher has a free slot or connection for it";
}
