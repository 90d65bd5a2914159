import type { Database } from "better-sqlite3";
import type { Claim, ClaimAnswer, ClaimRequest } from "../store.ts";
import { blockedBy, roomFor } from "./limits.ts";
import { endWaiting, type MessageRow, recipientsOf } from "./message-row.ts";
import { checkSchema } from "./migrate.ts";
import type { Queue } from "./queue-row.ts";
import { columnsOf, statement } from "./statement.ts";
import type { Tx } from "./tx.ts";

/**
 * Claiming: which messages a dispatcher may take now. Queues take turns, one message each; within a queue the best
 * priority comes first and, of every ten, one that is due longest. Limits and connections are counted here, in the
 * one transaction that also marks the messages.
 */

type Candidate = Pick<MessageRow, "key" | "priority" | "bytes" | "recipientCount" | "expiresMs" | "reportMs">;

/** A queue during one claim: how many it may still give, and its messages in the order they would go. */
type Turn = { queue: Queue; room: number; recipients: number; share: number; due: Candidate[]; taken: number };

/** Every tenth message of a queue is the one due longest, so that bulk never starves. */
const OLDEST_EVERY = 10;
/** Claims of a queue beyond its connections: composed ahead, so that a connection never waits. */
const AHEAD = 2;
/** Messages refused for the limit in one transaction. */
const REJECTED_AT_ONCE = 200;

const READY = "SELECT key FROM queues WHERE ready_ms <= ? ORDER BY ready_ms LIMIT ?";
const IMMEDIATE = "SELECT key FROM queues WHERE immediate_ms <= ? ORDER BY immediate_ms LIMIT ?";
const ANY_READY = "SELECT 1 FROM queues WHERE ready_ms <= ? LIMIT 1";
const NEXT_READY = "SELECT min(ready_ms) FROM queues WHERE ready_ms IS NOT NULL";
const SOLO_DUE = "SELECT key, queue FROM messages WHERE state = 'solo' AND due_ms <= ? ORDER BY due_ms LIMIT 1";
const CANDIDATE =
  "SELECT key, priority, bytes, recipient_count AS recipientCount, expires_ms AS expiresMs, report_ms AS reportMs FROM messages";
const BEST = `${CANDIDATE} WHERE state = 'waiting' AND queue = ? AND priority = ? AND due_ms <= ? ORDER BY due_ms LIMIT ?`;
const OLDEST = `${CANDIDATE} WHERE state = 'waiting' AND queue = ? AND due_ms <= ? ORDER BY due_ms LIMIT ?`;
const BY_KEY = `${CANDIDATE} WHERE key = ?`;
const STANDS = "SELECT 1 FROM processes WHERE process = ?";
const DISPATCHERS = "SELECT count(*) FROM processes WHERE kind = 'dispatcher'";
const RESERVED =
  "SELECT coalesce(sum(reserved) FILTER (WHERE process <> @process), 0) AS others, coalesce(sum(reserved) FILTER (WHERE process = @process), 0) AS mine " +
  "FROM connections WHERE queue = @queue";
const RESERVE =
  "INSERT INTO connections (queue, process, reserved) VALUES (@queue, @process, @reserved) ON CONFLICT (queue, process) DO UPDATE SET reserved = excluded.reserved";
const GIVE_BACK = "UPDATE connections SET reserved = min(reserved, @keep) WHERE queue = @queue AND process = @process";
const MARK =
  "UPDATE messages SET state = 'claimed', process = @process, claim = claim + 1, " +
  // Waiting for a limit, a turn or a suspension does not age a message; waiting behind its account's fault does.
  "first_due_ms = CASE WHEN first_attempt_ms IS NULL AND NOT @faulty THEN @steadyMs ELSE first_due_ms END, " +
  "first_attempt_ms = coalesce(first_attempt_ms, @wallMs) WHERE key = @key";
const LOAD = (db: Database) =>
  `SELECT ${columnsOf(db, "messages", "m")}, p.payload AS payload, p.recipients AS envelope FROM messages m JOIN payloads p ON p.message = m.key WHERE m.key = ?`;

/** Whether a claim would find something. A read. */
export function anyReady(db: Database, steadyMs: number): boolean {
  checkSchema(db);
  return statement(db, ANY_READY).get(steadyMs) !== undefined || statement(db, SOLO_DUE).get(steadyMs) !== undefined;
}

export function nextReadyMs(db: Database): number | null {
  return statement<number | null>(db, NEXT_READY).pluck().get() ?? null;
}

export function claimDue(tx: Tx, request: ClaimRequest): ClaimAnswer {
  checkSchema(tx.db);
  if (!statement(tx.db, STANDS).get(request.process)) return { kind: "lost" };
  if (tx.service().active === 0) return { kind: "suspended" };

  const solo = statement<{ key: number; queue: number }>(tx.db, SOLO_DUE).get(tx.now.steadyMs);
  if (solo) {
    const turn = beginTurn(tx, tx.queue(solo.queue), request);
    if (turn.room > 0) {
      if (request.held.size > 0) return { kind: "claimed", claims: [], soloWaiting: true };
      const claim = take(tx, turn, statement<Candidate>(tx.db, BY_KEY).get(solo.key)!, request.process, true);
      endTurn(tx, turn, request);
      return { kind: "claimed", claims: [claim], soloWaiting: false };
    }
  }
  return { kind: "claimed", claims: takeTurns(tx, request), soloWaiting: false };
}

// ---------------------------------------------------------------- turns between queues

function takeTurns(tx: Tx, request: ClaimRequest): Claim[] {
  const turns = new Map<number, Turn>();
  const immediate = openTurns(tx, IMMEDIATE, request, turns);
  const ready = openTurns(tx, READY, request, turns);
  const mostEach = fairShare(request, turns.size);
  for (const turn of turns.values()) {
    turn.room = Math.min(turn.room, mostEach(request.held.get(turn.queue.key) ?? 0));
    turn.due = dueInOrder(tx, turn);
  }

  const claims: Claim[] = [];
  let bytes = request.bytes;
  let urgentLast = false;
  while (claims.length < request.slots) {
    // Immediate mail goes first, but never twice running while others wait.
    const line: Turn[] = !urgentLast && immediate.length > 0 ? immediate : ready.length > 0 ? ready : immediate;
    const turn = line.shift();
    if (!turn) break;
    const candidate = nextOf(tx, turn);
    if (!candidate) continue;
    if (candidate.bytes > bytes && (claims.length > 0 || request.held.size > 0)) break;
    bytes -= candidate.bytes;
    urgentLast = line === immediate;
    claims.push(take(tx, turn, candidate, request.process, false));
    if (line === ready || turn.due[0]?.priority === 0) line.push(turn);
  }
  for (const turn of turns.values()) if (turn.taken > 0) endTurn(tx, turn, request);
  return claims;
}

function openTurns(tx: Tx, sql: string, request: ClaimRequest, turns: Map<number, Turn>): Turn[] {
  const keys = statement<number>(tx.db, sql).pluck().all(tx.now.steadyMs, request.slots);
  return keys.map((key) => {
    const turn = turns.get(key) ?? beginTurn(tx, tx.queue(key), request);
    turns.set(key, turn);
    return turn;
  });
}

/** While others wait, no account holds more than half of what the rest leaves; alone it leaves a tenth for newcomers. */
function fairShare(request: ClaimRequest, waiting: number): (mine: number) => number {
  const all = [...request.held.values()].reduce((sum, n) => sum + n, 0);
  return (mine) => {
    const left = request.capacity - (all - mine);
    const most = waiting > 1 ? Math.floor(left / 2) : left - Math.floor(request.capacity / 10);
    return Math.max(1, most) - mine;
  };
}

/** What limits, connections, a hold and the batch size leave to this queue now. */
function beginTurn(tx: Tx, queue: Queue, request: ClaimRequest): Turn {
  const turn: Turn = { queue, room: 0, recipients: 0, share: 0, due: [], taken: 0 };
  const { account } = queue;
  if (!account || isHeld(queue, tx.now.steadyMs)) return turn;

  const limits = roomFor(tx.db, queue, tx.now.steadyMs);
  if (Math.min(limits.messages, limits.recipients) <= 0) {
    if (account.limitBehavior === "reject") rejectDue(tx, queue);
    return turn;
  }
  const most = account.maxConnections ?? request.maxConnectionsPerAccount;
  queue.capacity = most * AHEAD;
  turn.share = connectionShare(tx, queue.key, request.process, most);
  turn.recipients = limits.recipients;
  turn.room = Math.min(
    limits.messages,
    turn.share * AHEAD - (request.held.get(queue.key) ?? 0),
    queue.capacity - queue.inFlight,
    account.batchSize ?? Number.POSITIVE_INFINITY,
    queue.holdFailures > 0 ? 1 - queue.inFlight : Number.POSITIVE_INFINITY,
    request.slots,
  );
  return turn;
}

function isHeld(queue: Queue, steadyMs: number): boolean {
  return queue.heldBy !== null && (queue.holdUntilMs === null || queue.holdUntilMs > steadyMs);
}

/** An even part of the account's connections, less what other dispatchers have reserved beyond theirs. */
function connectionShare(tx: Tx, queue: number, process: number, most: number): number {
  const dispatchers = statement<number>(tx.db, DISPATCHERS).pluck().get()!;
  const { others } = statement<{ others: number }>(tx.db, RESERVED).get({ queue, process })!;
  return Math.max(0, Math.min(Math.ceil(most / Math.max(1, dispatchers)), most - others));
}

function rejectDue(tx: Tx, queue: Queue): void {
  for (const row of statement<Candidate>(tx.db, OLDEST).all(queue.key, tx.now.steadyMs, REJECTED_AT_ONCE)) {
    endWaiting(tx, row, queue, "rate limit exceeded");
    queue.rateLimited += 1;
  }
}

// ---------------------------------------------------------------- order within a queue

function dueInOrder(tx: Tx, turn: Turn): Candidate[] {
  const { queue, room } = turn;
  if (room <= 0) return [];
  const best: Candidate[] = [];
  for (let priority = 0; priority <= 3 && best.length < room; priority++) {
    best.push(...statement<Candidate>(tx.db, BEST).all(queue.key, priority, tx.now.steadyMs, room - best.length));
  }
  const position = queue.claims % OLDEST_EVERY;
  const oldestWanted = Math.floor((position + room) / OLDEST_EVERY);
  if (oldestWanted === 0 || best.length < room) return best; // all that is due is taken anyway
  const oldest = statement<Candidate>(tx.db, OLDEST).all(queue.key, tx.now.steadyMs, room);

  const order = new Set<Candidate["key"]>();
  const byKey = new Map([...oldest, ...best].map((candidate) => [candidate.key, candidate]));
  for (let i = 0; order.size < room; i++) {
    const line = (position + i) % OLDEST_EVERY === OLDEST_EVERY - 1 ? oldest : best;
    while (line.length > 0 && order.has(line[0]!.key)) line.shift();
    const next = line.shift();
    if (next) order.add(next.key);
    else if (line === best) break;
  }
  return [...order].map((key) => byKey.get(key)!);
}

/** The next message of the queue that may go; ends on the way what is not worth sending or could never be. */
function nextOf(tx: Tx, turn: Turn): Candidate | null {
  while (turn.room > 0) {
    const candidate = turn.due.shift();
    if (!candidate) return null;
    if (candidate.expiresMs !== null && candidate.expiresMs <= tx.now.wallMs) {
      endWaiting(tx, candidate, turn.queue, "expired");
    } else if (candidate.recipientCount > (turn.queue.account!.limits.recipientsPerDay ?? Number.POSITIVE_INFINITY)) {
      endWaiting(
        tx,
        candidate,
        turn.queue,
        `rate limit exceeded: ${candidate.recipientCount} recipients in one message`,
      );
      turn.queue.rateLimited += 1;
    } else if (candidate.recipientCount > turn.recipients) {
      turn.queue.nextRecipients = candidate.recipientCount;
      return null;
    } else return candidate;
  }
  return null;
}

// ---------------------------------------------------------------- marking

function take(tx: Tx, turn: Turn, candidate: Candidate, process: number, solo: boolean): Claim {
  const { queue } = turn;
  statement(tx.db, MARK).run({ key: candidate.key, process, faulty: queue.holdFailures > 0 ? 1 : 0, ...tx.now });
  turn.taken += 1;
  turn.room -= 1;
  turn.recipients -= candidate.recipientCount;
  queue.nextRecipients = 1;
  queue.claims += 1;
  queue.inFlight += 1;
  queue.inFlightRecipients += candidate.recipientCount;

  const row = statement<MessageRow & { payload: string; envelope: string }>(tx.db, LOAD).get(candidate.key)!;
  return {
    messageKey: row.key,
    claim: row.claim,
    id: row.id,
    accountKey: queue.key,
    account: queue.account!,
    connectionShare: turn.share,
    priority: row.priority as Claim["priority"],
    attempts: row.attempts,
    solo,
    createdMs: row.createdMs,
    firstAttemptMs: row.firstAttemptMs!,
    firstDueMs: row.firstDueMs,
    expiresMs: row.expiresMs,
    onAmbiguous: row.onAmbiguous as Claim["onAmbiguous"],
    messageId: row.messageId,
    recipients: recipientsOf(row.recipients, row.envelope),
    payload: JSON.parse(row.payload),
    contentBytes: row.contentBytes,
    bytes: row.bytes,
  };
}

/** The queue goes to the end of the line, and the connections this process may open for it are its own until given back. */
function endTurn(tx: Tx, turn: Turn, request: ClaimRequest): void {
  const { queue } = turn;
  queue.servedMs = tx.now.steadyMs;
  if (blockedBy(tx, queue)) queue.rateLimited += 1;
  const key = { queue: queue.key, process: request.process };
  const { mine } = statement<{ mine: number }>(tx.db, RESERVED).get(key)!;
  const wanted = Math.min(turn.share, (request.held.get(queue.key) ?? 0) + turn.taken);
  if (wanted > mine) statement(tx.db, RESERVE).run({ ...key, reserved: wanted });
}

/** Never more than before: what is left is free for other dispatchers. */
export function giveBackConnections(tx: Tx, process: number, queueKey: number, keep: number): void {
  statement(tx.db, GIVE_BACK).run({ process, queue: queueKey, keep });
  tx.queue(queueKey); // others may claim now: its row is worked out anew, and they wake
}
