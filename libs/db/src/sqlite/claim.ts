import type { Database } from "better-sqlite3";
import type { Claim, ClaimAnswer, ClaimRequest } from "../store.ts";
import { type Candidate, candidate, dueInOrder, nextOf } from "./due-order.ts";
import { DamagedRow, type MessageRow, payloadOf, recipientsOf } from "./message-row.ts";
import { checkSchema } from "./migrate.ts";
import { someColumns, statement } from "./statement.ts";
import { beginTurn, endTurn, type Turn } from "./turn.ts";
import type { Tx } from "./tx.ts";

/**
 * Claiming: which messages a dispatcher may take now. Queues take turns, one message each. Limits and connections are
 * counted here, in the one transaction that also marks the messages.
 */

/** A claim as the transaction leaves it; what the message says is read after the commit, when others may write again. */
export type Taken = Omit<Claim, "payload" | "recipients"> & { outcomes: string | null };

/** Queues looked at beyond the free slots: some may have nothing for this dispatcher. */
const SPARE_TURNS = 50;
/** Messages to be sent alone that are looked at: the accounts of some may be held. */
const SOLOS = 20;

const READY = "SELECT key FROM queues WHERE ready_ms <= ? ORDER BY ready_ms LIMIT ? + 0";
const IMMEDIATE = "SELECT key FROM queues WHERE immediate_ms <= ? ORDER BY immediate_ms LIMIT ? + 0";
const ANY_READY = "SELECT 1 FROM queues WHERE ready_ms <= ? LIMIT 1";
const NEXT_READY = "SELECT min(ready_ms) FROM queues WHERE ready_ms IS NOT NULL";
const SOLO_DUE = "SELECT key, queue FROM messages WHERE state = 'solo' AND due_ms <= ? ORDER BY due_ms LIMIT ? + 0";
const STANDS = "SELECT 1 FROM processes WHERE process = ?";
const CLAIMED = [
  "key",
  "claim",
  "id",
  "priority",
  "attempts",
  "createdMs",
  "firstAttemptMs",
  "firstDueMs",
  "expiresMs",
  "onAmbiguous",
  "messageId",
  "recipients",
  "bytes",
] as const satisfies (keyof MessageRow)[];
const MARK =
  "UPDATE messages SET state = 'claimed', process = @process, claim = claim + 1, " +
  // Waiting for a limit, a turn or a suspension does not age a message; waiting behind its account's fault does.
  "first_due_ms = CASE WHEN first_attempt_ms IS NULL AND NOT @faulty THEN @steadyMs ELSE first_due_ms END, " +
  `first_attempt_ms = coalesce(first_attempt_ms, @wallMs) WHERE key = @key RETURNING ${someColumns(CLAIMED)}`;
const PAYLOAD = "SELECT payload, recipients AS envelope FROM payloads WHERE message = ?";

/** Whether a claim would find something. A read. */
export function anyReady(db: Database, steadyMs: number): boolean {
  checkSchema(db);
  return statement(db, ANY_READY).get(steadyMs) !== undefined || statement(db, SOLO_DUE).get(steadyMs, 1) !== undefined;
}

export function nextReadyMs(db: Database): number | null {
  return statement<number | null>(db, NEXT_READY).pluck().get() ?? null;
}

export type ClaimMade =
  | Exclude<ClaimAnswer, { kind: "claimed" }>
  | { kind: "claimed"; taken: Taken[]; soloWaiting: boolean };

export function claimDue(tx: Tx, request: ClaimRequest): ClaimMade {
  checkSchema(tx.db);
  if (!stands(tx, request.process)) return { kind: "lost" };
  if (tx.service().active === 0) return { kind: "suspended" };
  return claimSolo(tx, request) ?? { kind: "claimed", taken: takeTurns(tx, request), soloWaiting: false };
}

/** Reads what a claimed message says. Throws DamagedRow. */
export function loadClaim(db: Database, { outcomes, ...claim }: Taken): Claim {
  const found = statement<{ payload: string; envelope: string }>(db, PAYLOAD).get(claim.messageKey);
  if (!found) throw new DamagedRow("its payload is missing");
  return { ...claim, recipients: recipientsOf(outcomes, found.envelope), payload: payloadOf(found.payload) };
}

function stands(tx: Tx, process: number): boolean {
  return statement(tx.db, STANDS).get(process) !== undefined;
}

// ---------------------------------------------------------------- alone

/** A message that has taken dispatchers down goes alone: one dispatcher makes itself free for it, the others go on. */
function claimSolo(tx: Tx, request: ClaimRequest): ClaimMade | null {
  const service = tx.service();
  const turn = soloTurn(tx, request);
  if (!turn) {
    if (service.soloProcess === request.process) service.soloProcess = null;
    return null;
  }
  if (service.soloProcess !== null && service.soloProcess !== request.process && stands(tx, service.soloProcess))
    return null;
  if (request.held.size > 0) {
    service.soloProcess = request.process;
    return { kind: "claimed", taken: [], soloWaiting: true };
  }
  service.soloProcess = null;
  const [only] = turn.due;
  const taken = [take(tx, turn, only!, request.process, true)];
  return { kind: "claimed", taken: reserved(taken, turn, endTurn(tx, turn, request)), soloWaiting: false };
}

function soloTurn(tx: Tx, request: ClaimRequest): Turn | null {
  for (const { key, queue } of statement<{ key: number; queue: number }>(tx.db, SOLO_DUE).all(tx.now.steadyMs, SOLOS)) {
    const turn = beginTurn(tx, tx.queue(queue), { ...request, held: new Map() });
    if (turn.room > 0) return { ...turn, due: [candidate(tx, key)] };
  }
  return null;
}

// ---------------------------------------------------------------- turns between queues

function takeTurns(tx: Tx, request: ClaimRequest): Taken[] {
  const turns = new Map<number, Turn>();
  const immediate = openTurns(tx, IMMEDIATE, request, turns);
  const ready = openTurns(tx, READY, request, turns);
  const mostEach = fairShare(request, turns.size);
  for (const turn of turns.values()) {
    turn.room = Math.min(turn.room, mostEach(turn.queue.key));
    turn.due = dueInOrder(tx, turn);
  }

  const taken: Taken[] = [];
  const service = tx.service();
  let bytes = request.bytes;
  while (taken.length < request.slots) {
    // Immediate mail goes first, but never twice running while others wait, from one claim to the next either.
    const line: Turn[] = !service.urgentLast && immediate.length > 0 ? immediate : ready.length > 0 ? ready : immediate;
    const turn = line.shift();
    if (!turn) break;
    const next = nextOf(tx, turn);
    // What does not fit into memory now waits until something has landed; the other queues go on.
    if (!next || (next.bytes > bytes && (taken.length > 0 || request.held.size > 0))) continue;
    bytes -= next.bytes;
    service.urgentLast = line === immediate ? 1 : 0;
    taken.push(take(tx, turn, next, request.process, false));
    if (line === ready || turn.due[0]?.priority === 0) line.push(turn);
  }
  const served = [...turns.values()].filter((turn) => turn.taken > 0);
  return served.reduce((all, turn) => reserved(all, turn, endTurn(tx, turn, request)), taken);
}

function openTurns(tx: Tx, sql: string, request: ClaimRequest, turns: Map<number, Turn>): Turn[] {
  const keys = statement<number>(tx.db, sql)
    .pluck()
    .all(tx.now.steadyMs, request.slots + SPARE_TURNS);
  return keys.map((key) => {
    const turn = turns.get(key) ?? beginTurn(tx, tx.queue(key), request);
    turns.set(key, turn);
    return turn;
  });
}

/**
 * While others wait, no account holds more than half of what the rest leaves; alone it leaves a tenth for newcomers. What
 * an account may hold ahead comes on top: it is gone before anybody would wait for it.
 */
function fairShare({ held, ahead, capacity }: ClaimRequest, waiting: number): (key: number) => number {
  const aheadOf = (key: number) => ahead?.get(key) ?? 0;
  const counted = (key: number, count: number) => Math.max(0, count - aheadOf(key));
  let all = 0;
  for (const [key, count] of held) all += counted(key, count);
  return (key) => {
    const mine = held.get(key) ?? 0;
    const left = capacity - (all - counted(key, mine));
    const most = waiting > 1 ? Math.floor(left / 2) : left - Math.floor(capacity / 10);
    return Math.max(1, most) + aheadOf(key) - mine;
  };
}

// ---------------------------------------------------------------- marking

function take(tx: Tx, turn: Turn, { key, urgency, recipientCount }: Candidate, process: number, solo: boolean): Taken {
  const { queue } = turn;
  const faulty = queue.holdFailures > 0 ? 1 : 0;
  const marked = statement<Pick<MessageRow, (typeof CLAIMED)[number]>>(tx.db, MARK);
  const row = marked.get({ key, process, faulty, ...tx.now })!;
  turn.taken += 1;
  turn.room -= 1;
  turn.recipients -= recipientCount;
  queue.nextRecipients = 1;
  queue.claims += 1;
  queue.inFlight += 1;
  queue.inFlightRecipients += recipientCount;
  if (queue.holdFailures > 0) queue.probe = key;
  return {
    messageKey: row.key,
    claim: row.claim,
    id: row.id,
    accountKey: queue.key,
    account: queue.account!,
    connectionShare: turn.share,
    reservedConnections: 0, // known when the turn ends
    priority: row.priority as Claim["priority"],
    urgency,
    attempts: row.attempts,
    solo,
    createdMs: row.createdMs,
    firstAttemptMs: row.firstAttemptMs!,
    firstDueMs: row.firstDueMs,
    expiresMs: row.expiresMs,
    onAmbiguous: row.onAmbiguous as Claim["onAmbiguous"],
    messageId: row.messageId,
    outcomes: row.recipients,
    bytes: row.bytes,
  };
}

function reserved(taken: Taken[], turn: Turn, reservedConnections: number): Taken[] {
  return taken.map((one) => (one.accountKey === turn.queue.key ? { ...one, reservedConnections } : one));
}
