import type { Instant } from "@async-mail/domain/time";
import type { HousekeepingStore } from "../store.ts";
import type { Engine } from "./engine.ts";
import { endWaiting } from "./message-row.ts";
import { anyToPurge, purgeFinal } from "./purge.ts";
import { statement } from "./statement.ts";
import type { Tx } from "./tx.ts";

/** For works that take no note of the time. */
const NO_TIME: Instant = { wallMs: 0, steadyMs: 0 };

const EXPIRED =
  "SELECT key, queue, report_ms AS reportMs FROM messages WHERE state = 'waiting' AND expires_ms IS NOT NULL AND expires_ms <= ? ORDER BY expires_ms LIMIT ?";
const HELD = "SELECT key FROM queues WHERE held_by = 'fault'";
const BEHIND_HOLD =
  "SELECT key, queue, report_ms AS reportMs, first_due_ms AS firstDueMs FROM messages WHERE state = 'waiting' AND queue = ? AND due_ms <= ? ORDER BY due_ms LIMIT ?";
const CONTENTS_TO_TRIM = "SELECT key FROM messages WHERE state = 'sent' AND content_bytes > 0 LIMIT ?";
const DELETE_CONTENTS = "DELETE FROM contents WHERE message = ?";
const TRIMMED = "UPDATE messages SET content_bytes = 0 WHERE key = ?";
const QUEUES_WITH_SENDS = "SELECT key FROM queues WHERE sends_total > 0";
/** The newest one older than the longest window stays: it is the total at the window's beginning. */
const OLD_SENDS =
  "DELETE FROM sends WHERE queue = @queue AND ended_ms IN (SELECT ended_ms FROM sends WHERE queue = @queue AND ended_ms < " +
  "(SELECT max(ended_ms) FROM sends WHERE queue = @queue AND ended_ms <= @before) ORDER BY ended_ms LIMIT @limit)";
const OLD_VERIFICATIONS = "DELETE FROM verifications WHERE asked_ms < ?";

const LONGEST_WINDOW_MS = 86_400_000;
const VERIFICATION_MS = 120_000;

type Waiting = { key: number; queue: number; reportMs: number | null };

export function housekeepingStore({ db, writer }: Engine): HousekeepingStore {
  return {
    async expire(maxAgeMs, limit, now) {
      if (!(await writer.read(() => anythingToExpire(now)))) return 0;
      return writer.write(now, (tx) => expire(tx, maxAgeMs, limit));
    },
    async purge(before, limit) {
      if (!(await writer.read(() => anyToPurge(db, before)))) return 0;
      return writer.write(NO_TIME, (tx) => purgeFinal(tx, before, limit));
    },
    trim: (limit, now) => writer.write(now, (tx) => trim(tx, limit)),
    async checkpoint() {
      await writer.read(() => db.pragma("wal_checkpoint(PASSIVE)"));
    },
    async optimize() {
      await writer.read(() => db.pragma("optimize"));
    },
  };

  /** A look first: an empty pass must not write, or every other process would wake. */
  function anythingToExpire(now: Instant): boolean {
    return statement(db, EXPIRED).get(now.wallMs, 1) !== undefined || statement(db, HELD).get() !== undefined;
  }
}

function expire(tx: Tx, maxAgeMs: number, limit: number): number {
  const expired = statement<Waiting>(tx.db, EXPIRED).all(tx.now.wallMs, limit);
  for (const row of expired) endWaiting(tx, row, tx.queue(row.queue), "expired");
  return expired.length + expireBehindHolds(tx, maxAgeMs, limit - expired.length);
}

function expireBehindHolds(tx: Tx, maxAgeMs: number, limit: number): number {
  const before = tx.now.steadyMs - maxAgeMs;
  let ended = 0;
  for (const key of statement<number>(tx.db, HELD).pluck().all()) {
    const queue = tx.queue(key);
    // Whoever first could go so long ago has been due since, or was put off by the hold itself.
    const rows = statement<Waiting & { firstDueMs: number }>(tx.db, BEHIND_HOLD).all(
      key,
      Math.max(before, (queue.holdUntilMs ?? 0) + 1),
      limit - ended,
    );
    const heldFor = (row: { firstDueMs: number }) =>
      tx.now.steadyMs - Math.max(row.firstDueMs, queue.heldSinceMs ?? tx.now.steadyMs);
    for (const row of rows.filter((row) => heldFor(row) > maxAgeMs)) {
      endWaiting(tx, row, queue, `expired: ${queue.holdReason}`);
      ended += 1;
    }
  }
  return ended;
}

function trim(tx: Tx, limit: number): number {
  const keys = statement<number>(tx.db, CONTENTS_TO_TRIM).pluck().all(limit);
  for (const key of keys) {
    statement(tx.db, DELETE_CONTENTS).run(key);
    statement(tx.db, TRIMMED).run(key);
  }
  let freed = keys.length;
  for (const queue of statement<number>(tx.db, QUEUES_WITH_SENDS).pluck().all()) {
    if (freed >= limit) break;
    freed += statement(tx.db, OLD_SENDS).run({
      queue,
      before: tx.now.steadyMs - LONGEST_WINDOW_MS,
      limit: limit - freed,
    }).changes;
  }
  return freed + statement(tx.db, OLD_VERIFICATIONS).run(tx.now.steadyMs - VERIFICATION_MS).changes;
}
