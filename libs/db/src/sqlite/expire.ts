import { DEFAULT_ACCOUNT_ID } from "@async-mail/domain/account";
import type { Instant } from "@async-mail/domain/time";
import type { Database } from "better-sqlite3";
import { endOrphans } from "./accounts.ts";
import { endWaiting } from "./finish.ts";
import { statement } from "./statement.ts";
import type { Tx } from "./tx.ts";

const EXPIRED =
  "SELECT key, queue FROM messages WHERE state = 'waiting' AND expires_ms IS NOT NULL AND expires_ms <= ? ORDER BY expires_ms LIMIT ?";
const HELD = "SELECT key FROM queues WHERE held_by = 'fault'";
const BEHIND_HOLD =
  "SELECT key, first_due_ms AS firstDueMs, first_attempt_ms IS NOT NULL AS tried FROM messages " +
  "WHERE state = 'waiting' AND suspended = 0 AND queue = ? AND due_ms <= ? ORDER BY due_ms LIMIT ?";
const ORPHANED =
  `SELECT q.key FROM queues q LEFT JOIN accounts a ON a.queue = q.key ` +
  `WHERE a.queue IS NULL AND q.pending > q.in_flight AND q.account_id <> '${DEFAULT_ACCOUNT_ID}'`;

type Expired = { key: number; queue: number };
type BehindHold = { key: number; firstDueMs: number; tried: number };

/** A look: an empty pass must not write, or every other process would wake. */
export function anyToExpire(db: Database, now: Instant): boolean {
  return [statement(db, EXPIRED).get(now.wallMs, 1), statement(db, HELD).get(), statement(db, ORPHANED).get()].some(
    (row) => row !== undefined,
  );
}

/** Ends what waits and never will, or need not, be sent; at most `limit`, answers how many. */
export function expire(tx: Tx, maxAgeMs: number, limit: number): number {
  const expired = statement<Expired>(tx.db, EXPIRED).all(tx.now.wallMs, limit);
  for (const row of expired) endWaiting(tx, row.key, tx.queue(row.queue), "expired");
  const ended = expired.length + expireBehindHolds(tx, maxAgeMs, limit - expired.length);
  return ended + expireOrphans(tx, limit - ended);
}

function expireBehindHolds(tx: Tx, maxAgeMs: number, limit: number): number {
  const before = tx.now.steadyMs - maxAgeMs;
  let ended = 0;
  for (const key of statement<number>(tx.db, HELD).pluck().all()) {
    const queue = tx.queue(key);
    // Whoever first could go so long ago has been due since, or was put off by the hold itself.
    const dueBefore = Math.max(before, (queue.holdUntilMs ?? 0) + 1);
    for (const row of statement<BehindHold>(tx.db, BEHIND_HOLD).all(key, dueBefore, limit - ended)) {
      // What was never tried may have waited for a limit before: that does not count.
      const sinceMs = row.tried ? row.firstDueMs : Math.max(row.firstDueMs, queue.heldSinceMs ?? tx.now.steadyMs);
      if (sinceMs >= before) continue;
      endWaiting(tx, row.key, queue, `expired: ${queue.holdReason}`);
      ended += 1;
    }
  }
  return ended;
}

/** Whoever deleted the account may not have lived to end all its messages. */
function expireOrphans(tx: Tx, limit: number): number {
  let ended = 0;
  for (const key of statement<number>(tx.db, ORPHANED).pluck().all())
    ended += endOrphans(tx, tx.queue(key), limit - ended);
  return ended;
}
