import { type Account, DEFAULT_ACCOUNT_ID } from "@async-mail/domain/account";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import { type Instant, toWallMs } from "@async-mail/domain/time";
import type { Database } from "better-sqlite3";
import type { AccountRecord, AccountStore, AccountsInUse } from "../store.ts";
import type { Engine } from "./engine.ts";
import { endWaiting } from "./finish.ts";
import { release } from "./hold.ts";
import { leftOf } from "./limits.ts";
import { countedOf, ensureQueue, findQueue, isHeld, loadQueue, type Queue, type StoredAccount } from "./queue-row.ts";
import { NotOpened } from "./sealing.ts";
import { deletedWord } from "./settle.ts";
import { forgetPace, slowed } from "./slowing.ts";
import { statement } from "./statement.ts";
import type { Tx } from "./tx.ts";
import { openedAccount, passwordOf } from "./vault.ts";
import { verificationsAnswered, verificationsAsked } from "./verifications.ts";

/** Fields that decide to whom a password is said: a stored one is kept only while they stay. */
const PASSWORD_BELONGS_TO = ["host", "port", "user", "security"] as const;
/** Messages ended in one transaction when their account is deleted. */
const ENDED_AT_ONCE = 250;

const COLUMNS = [
  "host",
  "port",
  "user",
  "password",
  "use_tls",
  "security",
  "ttl_seconds",
  "limit_per_minute",
  "limit_per_hour",
  "limit_per_day",
  "limit_recipients_per_day",
  "limit_behavior",
  "max_connections",
  "batch_size",
  "timeout_seconds",
  "tls_ca",
  "tls_servername",
  "on_ambiguous",
  "updated_ms",
];
const PUT =
  `INSERT INTO accounts (queue, created_ms, ${COLUMNS.join(", ")}) ` +
  `VALUES (@queue, @updated_ms, ${COLUMNS.map((name) => `@${name}`).join(", ")}) ` +
  `ON CONFLICT (queue) DO UPDATE SET ${COLUMNS.map((name) => `${name} = excluded.${name}`).join(", ")}`;
const DELETE = "DELETE FROM accounts WHERE queue = ?";
const IDS = "SELECT q.key FROM queues q JOIN accounts a ON a.queue = q.key WHERE q.tenant_id = ? ORDER BY q.account_id";
const TIMES =
  "SELECT created_ms AS createdMs, updated_ms AS updatedMs, password IS NOT NULL AS hasPassword FROM accounts WHERE queue = ?";
const WAITING =
  "SELECT key FROM messages WHERE state = 'waiting' AND suspended = 0 AND queue = @queue UNION ALL SELECT key FROM messages WHERE state = 'solo' AND suspended = 0 AND queue = @queue " +
  "UNION ALL SELECT key FROM messages WHERE suspended = 1 AND state IN ('waiting', 'solo') AND queue = @queue LIMIT @limit";

export function accountStore(engine: Engine, tenant: string): AccountStore {
  const { db, writer } = engine;

  /** Queue and what follows from it, or null: no such account. */
  function change(id: string, now: Instant, work: (tx: Tx, queue: Queue) => void): Promise<boolean> {
    return writer.write(now, (tx) => {
      const queue = tx.queueOf(tenant, id);
      if (!queue?.account) return false;
      work(tx, queue);
      return true;
    });
  }

  return {
    put: (account, { keepPassword }, now) => writer.write(now, (tx) => put(tx, tenant, account, keepPassword)),

    async list(now) {
      const keys = await writer.read(() => statement<number>(db, IDS).pluck().all(tenant));
      return writer.read(() => keys.flatMap((key) => toRecord(db, loadQueue(db, key), now) ?? []));
    },

    get: (id, now) =>
      writer.read(() => {
        const key = findQueue(db, tenant, id);
        return key === null ? null : toRecord(db, loadQueue(db, key), now);
      }),

    async remove(id, now) {
      await change(id, now, deleteAccount);
      const endSome = (tx: Tx) => {
        const queue = tx.queueOf(tenant, id);
        return queue === null ? 0 : endOrphans(tx, queue, ENDED_AT_ONCE);
      };
      while ((await writer.write(now, endSome)) === ENDED_AT_ONCE);
    },

    hold: (id, reason, untilMs, now) =>
      change(id, now, (tx, queue) => {
        release(queue);
        tx.leftLine(queue);
        Object.assign(queue, { heldBy: "operator", holdReason: reason, holdUntilMs: untilMs });
      }),

    release: (id, now) => change(id, now, (_, queue) => release(queue)),

    ...verificationsAsked(engine, tenant),
  };
}

export function accountsInUse(engine: Engine): AccountsInUse {
  return {
    configureDefault: (account, now) => engine.writer.write(now, (tx) => configureDefault(tx, account)),
    ...verificationsAnswered(engine),
  };
}

function configureDefault(tx: Tx, account: Account | null): void {
  const known = tx.queueOf(DEFAULT_TENANT, DEFAULT_ACCOUNT_ID);
  if (account) put(tx, DEFAULT_TENANT, { ...account, password: null }, false);
  else if (known?.account) deleteAccount(tx, known);
  // Its password may have been mended, which is not seen here: one message tries at once.
  if (known?.heldBy === "fault") known.holdUntilMs = Math.min(known.holdUntilMs ?? 0, tx.now.steadyMs);
}

type Put = { ok: true } | { ok: false; changed: string };

function put(tx: Tx, tenant: string, { password, ...account }: Account, keepPassword: boolean): Put {
  const queue = ensureQueue(tx, tenant, account.id);
  const before = queue.account;
  const keeps = keepPassword && before !== null && before.sealedPassword !== null;
  const changed = keeps ? PASSWORD_BELONGS_TO.find((field) => before[field] !== account[field]) : undefined;
  if (changed) return { ok: false, changed };
  const samePassword = keeps || (before !== null && isPassword(tx, queue, password));
  const sealedPassword = samePassword ? before!.sealedPassword : sealed(tx, queue, password);
  const put = { ...account, sealedPassword };
  if (before !== null && samePassword && JSON.stringify(toColumns(before)) === JSON.stringify(toColumns(put)))
    return { ok: true };
  statement(tx.db, PUT).run({ queue: queue.key, ...toColumns(put), updated_ms: tx.now.wallMs });
  queue.account = put;
  queue.capacity = null; // worked out anew by the next claim
  if (queue.heldBy === "fault") release(queue); // an operator's hold is the operator's to end
  forgetPace(queue);
  return { ok: true };
}

function isPassword(tx: Tx, queue: Queue, password: string | null): boolean {
  try {
    return openedAccount(tx.vault, queue).password === password;
  } catch (error) {
    if (error instanceof NotOpened) return false; // it was changed in the file, and is put right now
    throw error;
  }
}

function sealed(tx: Tx, queue: Queue, password: string | null): string | null {
  return password === null ? null : tx.vault.seal(password, passwordOf(queue.key));
}

function toColumns(account: StoredAccount) {
  return {
    host: account.host,
    port: account.port,
    user: account.user,
    password: account.sealedPassword,
    use_tls: account.useTls === null ? null : Number(account.useTls),
    security: account.security,
    ttl_seconds: account.ttlSeconds,
    limit_per_minute: account.limits.perMinute,
    limit_per_hour: account.limits.perHour,
    limit_per_day: account.limits.perDay,
    limit_recipients_per_day: account.limits.recipientsPerDay,
    limit_behavior: account.limitBehavior,
    max_connections: account.maxConnections,
    batch_size: account.batchSize,
    timeout_seconds: account.timeoutSeconds,
    tls_ca: account.tlsCa,
    tls_servername: account.tlsServername,
    on_ambiguous: account.onAmbiguous,
  };
}

/** The queue stays: what was sent still counts, should the account come back. */
export function deleteAccount(tx: Tx, queue: Queue): void {
  statement(tx.db, DELETE).run(queue.key);
  queue.account = null;
  release(queue);
}

/**
 * Ends messages whose account is gone, at most `limit`; answers how many. Housekeeping does it again, for those that a
 * process left behind that did not live to end them all.
 */
export function endOrphans(tx: Tx, queue: Queue, limit: number): number {
  if (queue.account) return 0;
  const keys = statement<number>(tx.db, WAITING).pluck().all({ queue: queue.key, limit });
  for (const key of keys) endWaiting(tx, key, queue, deletedWord(tx, queue));
  return keys.length;
}

function toRecord(db: Database, queue: Queue, now: Instant): AccountRecord | null {
  if (!queue.account) return null;
  const { sealedPassword: _, ...account } = queue.account;
  const times = statement<{ createdMs: number; updatedMs: number; hasPassword: number }>(db, TIMES).get(queue.key)!;
  return {
    account,
    hasPassword: times.hasPassword === 1,
    ...stateOf(queue, now),
    slowed: slowedOf(queue, now),
    left: leftOf(db, countedOf(queue), now.steadyMs),
    pending: queue.pending,
    inFlight: queue.inFlight,
    createdMs: times.createdMs,
    updatedMs: times.updatedMs,
  };
}

function slowedOf(queue: Queue, now: Instant): AccountRecord["slowed"] {
  const pace = slowed(queue, now.steadyMs);
  if (pace === null) return null;
  const { reason, gapMs, connections, untilMs } = pace;
  return { reason, gapMs, connections, untilMs: toWallMs(untilMs, now) };
}

/** `held` also after a fault's hold has run out, until a probe has succeeded: one message at a time goes out meanwhile. */
export function stateOf(queue: Queue, now: Instant): Pick<AccountRecord, "state" | "reason" | "untilMs"> {
  const wall = (steadyMs: number | null) => (steadyMs === null ? null : toWallMs(steadyMs, now));
  if (queue.heldBy === "fault" || isHeld(queue, now.steadyMs)) {
    return { state: "held", reason: queue.holdReason, untilMs: wall(queue.holdUntilMs) };
  }
  if (queue.limitedReason !== null && (queue.limitedUntilMs === null || queue.limitedUntilMs > now.steadyMs)) {
    return { state: "limited", reason: queue.limitedReason, untilMs: wall(queue.limitedUntilMs) };
  }
  return { state: "ready", reason: null, untilMs: null };
}
