import { endWaiting } from "./finish.ts";
import type { MessageRow } from "./message-row.ts";
import type { Queue } from "./queue-row.ts";
import { statement } from "./statement.ts";
import type { TenantRow } from "./tenant-row.ts";
import type { Turn } from "./turn.ts";
import type { Tx } from "./tx.ts";

/** Which of a queue's messages go next: the best priority first and, of every ten, one that is due longest. */

export type Candidate = Pick<
  MessageRow,
  "key" | "priority" | "bytes" | "recipientCount" | "expiresMs" | "batchCode"
> & {
  /** The priority with which it goes: its own, or that of the one whose place it has as the one due longest. */
  urgency: number;
};

/** Every tenth message of a queue is the one due longest, so that bulk never starves. */
const OLDEST_EVERY = 10;

const CANDIDATE =
  "SELECT key, priority, priority AS urgency, bytes, recipient_count AS recipientCount, expires_ms AS expiresMs, batch_code AS batchCode FROM messages";
const BEST = `${CANDIDATE} WHERE state = 'waiting' AND suspended = 0 AND queue = ? AND priority = ? AND due_ms <= ? ORDER BY due_ms LIMIT ? + 0`;
const OLDEST = `${CANDIDATE} WHERE state = 'waiting' AND suspended = 0 AND queue = ? AND due_ms <= ? ORDER BY due_ms LIMIT ? + 0`;
const SUSPEND = "UPDATE messages SET suspended = 1 WHERE key = ?";
const BY_KEY = `${CANDIDATE} WHERE key = ?`;

export function candidate(tx: Tx, key: number): Candidate {
  return statement<Candidate>(tx.db, BY_KEY).get(key)!;
}

export function longestDue(tx: Tx, queue: number, limit: number): Candidate[] {
  return statement<Candidate>(tx.db, OLDEST).all(queue, tx.now.steadyMs, limit);
}

/** As many as the turn has room for. */
export function dueInOrder(tx: Tx, turn: Turn): Candidate[] {
  const { queue, room } = turn;
  if (room <= 0) return [];
  const best: Candidate[] = [];
  for (let priority = 0; priority <= 3 && best.length < room; priority++) {
    best.push(...statement<Candidate>(tx.db, BEST).all(queue.key, priority, tx.now.steadyMs, room - best.length));
  }
  const position = queue.claims % OLDEST_EVERY;
  const oldestWanted = Math.floor((position + room) / OLDEST_EVERY);
  if (oldestWanted === 0 || best.length < room) return best; // all that is due is taken anyway
  const oldest = longestDue(tx, queue.key, room);

  const order = new Map<Candidate["key"], Candidate>();
  for (let i = 0; order.size < room; i++) {
    const line = (position + i) % OLDEST_EVERY === OLDEST_EVERY - 1 ? oldest : best;
    while (line.length > 0 && order.has(line[0]!.key)) line.shift();
    const next = line.shift();
    if (next) order.set(next.key, { ...next, urgency: Math.min(next.priority, best[0]?.priority ?? next.priority) });
    else if (line === best) break;
  }
  return [...order.values()];
}

/** What a tenant's own limits leave to all its queues in one claim. */
export type Allowance = { tenant: TenantRow; messages: number; recipients: number };

/**
 * The next message of the queue that may go; ends on the way what is not worth sending or could never be, and puts aside
 * what is suspended.
 */
export function nextOf(tx: Tx, turn: Turn, allowance: Allowance): Candidate | null {
  const { queue } = turn;
  while (turn.room > 0 && allowance.messages > 0) {
    const next = turn.due.shift();
    if (!next) return null;
    if (next.expiresMs !== null && next.expiresMs <= tx.now.wallMs) endWaiting(tx, next.key, queue, "expired");
    else if (tx.isSuspended(queue.tenantId, next.batchCode)) statement(tx.db, SUSPEND).run(next.key);
    else {
      const fits = fitsRecipients(tx, turn, allowance, next);
      if (fits === "goes") return next;
      if (fits === "waits") return null;
    }
  }
  return null;
}

/** By the limits on recipients. What is larger than a limit itself never goes, and ends. */
function fitsRecipients(tx: Tx, turn: Turn, allowance: Allowance, next: Candidate): "goes" | "waits" | "ended" {
  const { queue } = turn;
  const { limits, limitBehavior } = queue.account!;
  const { recipientCount } = next;
  const tooMany = `: ${recipientCount} recipients in one message`;
  if (recipientCount > turn.recipients) {
    if (limitBehavior === "reject" || recipientCount > (limits.recipientsPerDay ?? 0)) {
      overLimit(tx, queue, next, tooMany);
      return "ended";
    }
    queue.nextRecipients = recipientCount;
    return "waits";
  }
  if (recipientCount <= allowance.recipients) return "goes";
  if (recipientCount > (allowance.tenant.limitRecipientsPerDay ?? 0)) {
    overLimit(tx, queue, next, tooMany);
    return "ended";
  }
  allowance.tenant.nextRecipients = recipientCount;
  allowance.messages = 0;
  return "waits";
}

/** Refused for the limit, or larger than the limit itself. */
export function overLimit(tx: Tx, queue: Queue, { key }: Candidate, detail = ""): void {
  endWaiting(tx, key, queue, `rate limit exceeded${detail}`);
  queue.rateLimited += 1;
}
