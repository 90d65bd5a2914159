import type { HousekeepingStore } from "../store.ts";
import type { Engine } from "./engine.ts";
import { anyToExpire, expire } from "./expire.ts";
import { MOST_BYTES } from "./purge.ts";
import { anyToScrub, scrub } from "./reseal.ts";
import { statement } from "./statement.ts";
import { anyToPutBack, putSomeBack } from "./suspensions.ts";
import { anyDeleted, forgetDeleted } from "./tenants.ts";
import type { Tx } from "./tx.ts";
import { NO_TIME } from "./writer.ts";

const CONTENTS_TO_TRIM =
  "SELECT key, content_bytes AS bytes FROM messages WHERE state = 'sent' AND content_bytes > 0 LIMIT ?";
const DELETE_CONTENTS = "DELETE FROM contents WHERE message = ?";
const TRIMMED = "UPDATE messages SET content_bytes = 0 WHERE key = ?";
const COUNTERS =
  "SELECT key FROM queues WHERE sends_total > 0 UNION ALL SELECT -key FROM tenants WHERE sends_total > 0";
/** The newest one older than the longest window stays: it is the total at the window's beginning. */
const OLD_SENDS =
  "DELETE FROM sends WHERE queue = @queue AND ended_ms IN (SELECT ended_ms FROM sends WHERE queue = @queue AND ended_ms < " +
  "(SELECT max(ended_ms) FROM sends WHERE queue = @queue AND ended_ms <= @before) ORDER BY ended_ms LIMIT @limit)";
const OLD_VERIFICATIONS = "DELETE FROM verifications WHERE asked_ms < ?";

const LONGEST_WINDOW_MS = 86_400_000;
const VERIFICATION_MS = 120_000;

export function housekeepingStore({ db, writer }: Engine): HousekeepingStore {
  return {
    async expire(maxAgeMs, limit, now) {
      if (!(await writer.read(() => anyToExpire(db, now)))) return 0;
      return writer.write(now, (tx) => expire(tx, maxAgeMs, limit));
    },
    async tidyTenants(deletedBeforeMs, limit, now) {
      let done = 0;
      while (done < limit && (await writer.read(() => anyToPutBack(db))))
        done += await writer.write(now, (tx) => putSomeBack(tx, limit - done));
      if (done >= limit || !(await writer.read(() => anyDeleted(db)))) return done;
      return done + (await writer.write(now, (tx) => forgetDeleted(tx, deletedBeforeMs, limit - done)));
    },
    async trim(limit, now) {
      let freed = 0;
      while (freed < limit && (await writer.read(() => statement(db, CONTENTS_TO_TRIM).get(1)))) {
        freed += await writer.write(NO_TIME, (tx) => trimContents(tx, limit - freed));
      }
      return freed + (await writer.write(now, (tx) => trimTimes(tx, limit)));
    },
    async checkpoint() {
      if (await writer.read(() => anyToScrub(db))) await writer.read(() => scrub(db));
      await writer.read(() => db.pragma("wal_checkpoint(PASSIVE)"));
    },
  };
}

/** Inline content of what was sent: nobody will ask for it again. */
function trimContents(tx: Tx, limit: number): number {
  let trimmed = 0;
  let bytes = 0;
  for (const row of statement<{ key: number; bytes: number }>(tx.db, CONTENTS_TO_TRIM).all(limit)) {
    statement(tx.db, DELETE_CONTENTS).run(row.key);
    statement(tx.db, TRIMMED).run(row.key);
    trimmed += 1;
    bytes += row.bytes;
    if (bytes > MOST_BYTES) break;
  }
  return trimmed;
}

/** What the limits and the verifications no longer need. */
function trimTimes(tx: Tx, limit: number): number {
  const before = tx.now.steadyMs - LONGEST_WINDOW_MS;
  let freed = 0;
  for (const queue of statement<number>(tx.db, COUNTERS).pluck().all()) {
    if (freed >= limit) break;
    freed += statement(tx.db, OLD_SENDS).run({ queue, before, limit: limit - freed }).changes;
  }
  return freed + statement(tx.db, OLD_VERIFICATIONS).run(tx.now.steadyMs - VERIFICATION_MS).changes;
}
