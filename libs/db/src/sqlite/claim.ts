import type { Database } from "better-sqlite3";
import type { Claim, ClaimAnswer, ClaimRequest } from "../store.ts";
import { type Allowance, type Candidate, candidate, dueInOrder, nextOf } from "./due-order.ts";
import type { Engine } from "./engine.ts";
import { roomFor } from "./limits.ts";
import { DamagedRow, type MessageRow, recipientsOf } from "./message-row.ts";
import { checkSchema } from "./migrate.ts";
import { openPayload } from "./payload-row.ts";
import { someColumns, statement } from "./statement.ts";
import { closedBy, countedOf } from "./tenant-row.ts";
import { beginTurn, endTurn, type Turn } from "./turn.ts";
import type { Tx } from "./tx.ts";

/**
 * Claiming: which messages a dispatcher may take now. Tenants take turns, one message each, and so do the queues of a
 * tenant. Limits and connections are counted here, in the one transaction that also marks the messages.
 */

/** A claim as the transaction leaves it; what the message says is read after the commit, when others may write again. */
export type Taken = Omit<Claim, "payload" | "recipients"> & { outcomes: string | null };

/** Tenants, and queues of each, looked at beyond the free slots: some may have nothing for this dispatcher. */
const SPARE_TURNS = 50;
/** Messages to be sent alone that are looked at: the accounts of some may be held. */
const SOLOS = 20;

const READY_TENANTS = "SELECT tenant FROM tenants WHERE ready_ms <= ? ORDER BY ready_ms LIMIT ? + 0";
const IMMEDIATE_TENANTS = "SELECT tenant FROM tenants WHERE immediate_ms <= ? ORDER BY immediate_ms LIMIT ? + 0";
const READY = "SELECT key FROM queues WHERE tenant_id = ? AND ready_ms <= ? ORDER BY ready_ms LIMIT ? + 0";
const IMMEDIATE = "SELECT key FROM queues WHERE tenant_id = ? AND immediate_ms <= ? ORDER BY immediate_ms LIMIT ? + 0";
const ANY_READY = "SELECT 1 FROM tenants WHERE ready_ms <= ? LIMIT 1";
const NEXT_READY = "SELECT min(ready_ms) FROM tenants WHERE ready_ms IS NOT NULL";
const SEVERAL_TENANTS = "SELECT 1 FROM tenants LIMIT 1 OFFSET 1";
const TENANT_OF = "SELECT tenant_id FROM queues WHERE key = ?";
const SOLO_DUE =
  "SELECT m.key, m.queue, m.batch_code AS batchCode, m.recipient_count AS recipientCount FROM messages m JOIN tenants t ON t.tenant = m.tenant_id " +
  "WHERE m.state = 'solo' AND m.suspended = 0 AND m.due_ms <= @nowMs AND t.deleted_ms IS NULL AND t.active = 1 AND t.suspended_by = 0 " +
  "AND (t.limited_reason IS NULL OR t.limited_until_ms <= @nowMs) ORDER BY m.due_ms LIMIT @limit + 0";
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
  return (
    statement(db, ANY_READY).get(steadyMs) !== undefined ||
    statement(db, SOLO_DUE).get({ nowMs: steadyMs, limit: 1 }) !== undefined
  );
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
export function loadClaim({ db, vault }: Pick<Engine, "db" | "vault">, { outcomes, ...claim }: Taken): Claim {
  const found = statement<{ payload: string; envelope: string }>(db, PAYLOAD).get(claim.messageKey);
  if (!found) throw new DamagedRow("its payload is missing");
  return {
    ...claim,
    recipients: recipientsOf(outcomes, found.envelope),
    payload: openPayload(vault, found.payload, claim.messageKey),
  };
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

type Solo = { key: number; queue: number; batchCode: string | null; recipientCount: number };

function soloTurn(tx: Tx, request: ClaimRequest): Turn | null {
  const due = statement<Solo>(tx.db, SOLO_DUE).all({ nowMs: tx.now.steadyMs, limit: SOLOS });
  for (const { key, queue: queueKey, batchCode, recipientCount } of due) {
    const queue = tx.queue(queueKey);
    const { messages, recipients } = allowanceOf(tx, queue.tenantId);
    if (tx.isSuspended(queue.tenantId, batchCode) || messages <= 0 || recipientCount > recipients) continue;
    const turn = beginTurn(tx, queue, { ...request, held: new Map() });
    if (turn.room > 0) return { ...turn, due: [candidate(tx, key)] };
  }
  return null;
}

// ---------------------------------------------------------------- turns between tenants, and between their queues

type Line = "immediate" | "ready";

/** A tenant during one claim, with the keys of its queues that have something due. */
type TenantTurn = { allowance: Allowance; waiting: Record<Line, number[]> };

function takeTurns(tx: Tx, request: ClaimRequest): Taken[] {
  const tenants = new Map<string, TenantTurn>();
  const lines = { immediate: lineUp(tx, "immediate", request, tenants), ready: lineUp(tx, "ready", request, tenants) };
  const turnOf = turns(tx, request, tenants);
  const taken: Taken[] = [];
  const served = new Set<Turn>();
  const service = tx.service();
  let bytes = request.bytes;
  while (taken.length < request.slots) {
    // Immediate mail goes first, but never twice running while others wait, from one claim to the next either.
    const urgent = lines.immediate.length > 0 && (!service.urgentLast || lines.ready.length === 0);
    const line: Line = urgent ? "immediate" : "ready";
    const tenant = lines[line].shift();
    if (!tenant) break;
    const mayTake = (next: Candidate) => next.bytes <= bytes || (taken.length === 0 && request.held.size === 0);
    const found = nextOfTenant(tx, tenant, line, turnOf, mayTake);
    if (!found) continue;
    const { turn, next } = found;
    bytes -= next.bytes;
    service.urgentLast = line === "immediate" ? 1 : 0;
    taken.push(take(tx, turn, next, request.process, false));
    served.add(turn);
    tenant.allowance.messages -= 1;
    tenant.allowance.recipients -= next.recipientCount;
    if (line === "ready" || turn.due[0]?.priority === 0) tenant.waiting[line].push(turn.queue.key);
    lines[line].push(tenant);
  }
  return [...served].reduce((all, turn) => reserved(all, turn, endTurn(tx, turn, request)), taken);
}

/** What does not fit into memory now waits until something has landed; the other queues go on. */
function nextOfTenant(
  tx: Tx,
  { allowance, waiting }: TenantTurn,
  line: Line,
  turnOf: (key: number) => Turn,
  mayTake: (next: Candidate) => boolean,
): { turn: Turn; next: Candidate } | null {
  for (let key = waiting[line].shift(); key !== undefined; key = waiting[line].shift()) {
    const turn = turnOf(key);
    const next = nextOf(tx, turn, allowance);
    if (next !== null && mayTake(next)) return { turn, next };
  }
  return null;
}

function lineUp(tx: Tx, line: Line, { slots }: ClaimRequest, tenants: Map<string, TenantTurn>): TenantTurn[] {
  const most = slots + SPARE_TURNS;
  const [ofTenants, ofQueues] = line === "ready" ? [READY_TENANTS, READY] : [IMMEDIATE_TENANTS, IMMEDIATE];
  const found = statement<string>(tx.db, ofTenants).pluck().all(tx.now.steadyMs, most);
  return found.map((tenant) => {
    const turn = tenants.get(tenant) ?? {
      allowance: allowanceOf(tx, tenant),
      waiting: { immediate: [], ready: [] },
    };
    tenants.set(tenant, turn);
    turn.waiting[line] = statement<number>(tx.db, ofQueues).pluck().all(tenant, tx.now.steadyMs, most);
    return turn;
  });
}

function allowanceOf(tx: Tx, id: string): Allowance {
  const tenant = tx.tenant(id);
  if (closedBy(tenant) !== null) return { tenant, messages: 0, recipients: 0 };
  return { tenant, ...roomFor(tx.db, countedOf(tenant), tx.now.steadyMs) };
}

/** Turns by key of their queue, each begun when it is first asked for: most of those that wait get none in this claim. */
function turns(tx: Tx, request: ClaimRequest, tenants: Map<string, TenantTurn>): (key: number) => Turn {
  const begun = new Map<number, Turn>();
  const keys = new Set([...tenants.values()].flatMap(({ waiting }) => [...waiting.immediate, ...waiting.ready]));
  const mostEach = fairShare(request, keys.size, (key) => key);
  if (statement(tx.db, SEVERAL_TENANTS).get() !== undefined) boundTenants(tx, request, tenants);
  return (key) => {
    let turn = begun.get(key);
    if (turn === undefined) {
      turn = beginTurn(tx, tx.queue(key), request);
      turn.room = Math.min(turn.room, mostEach(key));
      turn.due = dueInOrder(tx, turn);
      begun.set(key, turn);
    }
    return turn;
  };
}

/** As between accounts: the many accounts of one tenant leave room for another's. */
function boundTenants(tx: Tx, request: ClaimRequest, tenants: Map<string, TenantTurn>): void {
  const known = new Map<number, string>();
  const tenantOf = (key: number) => {
    const tenant = known.get(key) ?? statement<string>(tx.db, TENANT_OF).pluck().get(key)!;
    known.set(key, tenant);
    return tenant;
  };
  const mostEach = fairShare(request, tenants.size, tenantOf);
  for (const [tenant, { allowance }] of tenants) allowance.messages = Math.min(allowance.messages, mostEach(tenant));
}

/**
 * While others wait, no account holds more than half of what the rest leaves; alone it leaves a tenth for newcomers. What
 * an account may hold ahead comes on top: it is gone before anybody would wait for it. Counted by account or by tenant.
 */
function fairShare<Owner>(
  { held, ahead = new Map(), capacity }: ClaimRequest,
  waiting: number,
  ownerOf: (key: number) => Owner,
): (owner: Owner) => number {
  const counted = new Map<Owner, number>();
  const beyond = new Map<Owner, number>();
  const add = (sums: Map<Owner, number>, owner: Owner, count: number) =>
    sums.set(owner, (sums.get(owner) ?? 0) + count);
  let all = 0;
  for (const [key, count] of held) {
    const slots = Math.max(0, count - (ahead.get(key) ?? 0));
    add(counted, ownerOf(key), slots);
    add(beyond, ownerOf(key), slots - count);
    all += slots;
  }
  for (const [key, count] of ahead) add(beyond, ownerOf(key), count);
  return (owner) => {
    const mine = counted.get(owner) ?? 0;
    const left = capacity - (all - mine);
    const most = waiting > 1 ? Math.floor(left / 2) : left - Math.floor(capacity / 10);
    return Math.max(1, most) - mine + (beyond.get(owner) ?? 0);
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
  const tenant = tx.tenant(queue.tenantId);
  tenant.nextRecipients = 1;
  tenant.servedMs = tx.now.steadyMs;
  for (const counted of [queue, tenant]) {
    counted.inFlight += 1;
    counted.inFlightRecipients += recipientCount;
  }
  if (queue.holdFailures > 0) queue.probe = key;
  return {
    messageKey: row.key,
    claim: row.claim,
    id: row.id,
    tenant: tenant.tenant,
    tenantId: tenant.id,
    accountKey: queue.key,
    account: turn.account!,
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
