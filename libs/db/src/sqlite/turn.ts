import type { Account } from "@async-mail/domain/account";
import type { Database } from "better-sqlite3";
import { CLAIMS_PER_CONNECTION, type Claim, type ClaimRequest } from "../store.ts";
import { type Candidate, longestDue, overLimit } from "./due-order.ts";
import { beginHold } from "./hold.ts";
import { blockedBy, roomFor } from "./limits.ts";
import { countedOf, isHeld, placesOf, type Queue } from "./queue-row.ts";
import { NotOpened } from "./sealing.ts";
import { gapOf, paceOf } from "./slowing.ts";
import { statement } from "./statement.ts";
import type { Tx } from "./tx.ts";
import { openedAccount } from "./vault.ts";

/** A queue during one claim: how many messages it may still give, which, and the connections that come with them. */
export type Turn = {
  queue: Queue;
  /** With its password; null: nothing can be sent by it. */
  account: Account | null;
  room: number;
  recipients: number;
  /** Connections the claiming process may have open to the account. */
  share: number;
  /** In the order they would go. */
  due: Candidate[];
  taken: number;
};

type Reserving = Pick<ClaimRequest, "process" | "maxConnectionsPerAccount">;
type Reserved = Pick<Claim, "connectionShare" | "reservedConnections">;

/** Messages refused for the limit in one transaction. */
const REJECTED_AT_ONCE = 200;

const DISPATCHERS = "SELECT count(*) FROM processes WHERE kind = 'dispatcher'";
const RESERVED =
  "SELECT coalesce(sum(reserved) FILTER (WHERE process <> @process), 0) AS others, coalesce(sum(reserved) FILTER (WHERE process = @process), 0) AS mine " +
  "FROM connections WHERE queue = @queue";
const RESERVE =
  "INSERT INTO connections (queue, process, reserved) VALUES (@queue, @process, @reserved) ON CONFLICT (queue, process) DO UPDATE SET reserved = excluded.reserved";
const GIVE_BACK = "UPDATE connections SET reserved = min(reserved, @keep) WHERE queue = @queue AND process = @process";

/** What limits, connections, a hold and the batch size leave to this queue now. */
export function beginTurn(tx: Tx, queue: Queue, request: ClaimRequest): Turn {
  const turn: Turn = { queue, account: null, room: 0, recipients: 0, share: 0, due: [], taken: 0 };
  const { account } = queue;
  if (!account || isHeld(queue, tx.now.steadyMs)) return turn;
  turn.account = openedOrHeld(tx, queue);
  if (turn.account === null) return turn;

  const limits = roomFor(tx.db, countedOf(queue), tx.now.steadyMs);
  if (Math.min(limits.messages, limits.recipients) <= 0) {
    if (account.limitBehavior === "reject") rejectDue(tx, queue);
    return turn;
  }
  const most = connectionsOf(queue, request.maxConnectionsPerAccount, tx.now.steadyMs);
  queue.capacity = most * CLAIMS_PER_CONNECTION;
  turn.share = connectionShare(tx, queue.key, request.process, most);
  turn.recipients = limits.recipients;
  turn.room = Math.min(
    limits.messages,
    placesLeft(turn, request),
    placesOf(queue),
    account.batchSize ?? Number.POSITIVE_INFINITY,
    gapOf(queue, tx.now.steadyMs) > 0 ? 1 : Number.POSITIVE_INFINITY,
    queue.holdFailures > 0 ? Number(queue.probe === null) : Number.POSITIVE_INFINITY,
    request.slots,
  );
  return turn;
}

/** A password that was changed in the file is its account's fault, and stops no other. */
function openedOrHeld(tx: Tx, queue: Queue): Account | null {
  try {
    return openedAccount(tx.vault, queue);
  } catch (error) {
    if (!(error instanceof NotOpened)) throw error;
    beginHold(tx, queue, `its password in the database cannot be decrypted: ${error.message}`);
    return null;
  }
}

/**
 * Messages that the claiming process may still have of this queue, beside those that wait for their attachments; these
 * take half of all its slots at most, so that others have room.
 */
function placesLeft({ queue, share }: Turn, { held, fetching, ahead, capacity }: ClaimRequest): number {
  const all = held.get(queue.key) ?? 0;
  const waiting = fetching?.get(queue.key) ?? 0;
  const beyond = share > 0 ? (ahead?.get(queue.key) ?? 0) : 0;
  return share * CLAIMS_PER_CONNECTION + beyond - all + Math.min(waiting, Math.floor(capacity / 2));
}

/** Connections an account may have open now, over all dispatchers. */
function connectionsOf(queue: Queue, configured: number, steadyMs: number): number {
  const most = queue.account?.maxConnections ?? configured;
  return paceOf(queue, most, steadyMs)?.connections ?? most;
}

/** An even part of the account's connections, less what other dispatchers have reserved beyond theirs. */
function connectionShare(tx: Tx, queue: number, process: number, most: number): number {
  const dispatchers = statement<number>(tx.db, DISPATCHERS).pluck().get()!;
  const { others } = statement<{ others: number }>(tx.db, RESERVED).get({ queue, process })!;
  return Math.max(0, Math.min(Math.ceil(most / Math.max(1, dispatchers)), most - others));
}

function rejectDue(tx: Tx, queue: Queue): void {
  for (const one of longestDue(tx, queue.key, REJECTED_AT_ONCE)) overLimit(tx, queue, one);
}

/** The queue goes to the end of the line. Answers the connections that are this process's until it gives them back. */
export function endTurn(tx: Tx, turn: Turn, request: ClaimRequest): number {
  const { queue } = turn;
  queue.servedMs = tx.now.steadyMs;
  if (blockedBy(tx, countedOf(queue))) queue.rateLimited += 1;
  const key = { queue: queue.key, process: request.process };
  const { mine } = statement<{ mine: number }>(tx.db, RESERVED).get(key)!;
  const wanted = Math.min(turn.share, (request.held.get(queue.key) ?? 0) + turn.taken);
  if (wanted > mine) statement(tx.db, RESERVE).run({ ...key, reserved: wanted });
  return Math.max(wanted, mine);
}

/** Whether this process has a connection of the account, or may still reserve one. */
export function mayReserve(
  db: Database,
  queue: Queue,
  { process, maxConnectionsPerAccount }: Reserving,
  steadyMs: number,
): boolean {
  const { others, mine } = statement<{ others: number; mine: number }>(db, RESERVED).get({
    queue: queue.key,
    process,
  })!;
  return mine > 0 || others < connectionsOf(queue, maxConnectionsPerAccount, steadyMs);
}

/** One connection more where there is one, for a login without a message. */
export function reserveOne(tx: Tx, queue: Queue, { process, maxConnectionsPerAccount }: Reserving): Reserved {
  const key = { queue: queue.key, process };
  const { others, mine } = statement<{ others: number; mine: number }>(tx.db, RESERVED).get(key)!;
  const most = connectionsOf(queue, maxConnectionsPerAccount, tx.now.steadyMs);
  const reserved = Math.max(mine, Math.min(mine + 1, most - others));
  if (reserved > mine) statement(tx.db, RESERVE).run({ ...key, reserved });
  // Not its even part: what is not reserved may be taken by others meanwhile.
  return { connectionShare: reserved, reservedConnections: reserved };
}

/** Never more than before: what is left is free for other dispatchers. */
export function giveBackConnections(tx: Tx, process: number, queueKey: number, keep: number): void {
  statement(tx.db, GIVE_BACK).run({ process, queue: queueKey, keep });
  tx.queue(queueKey); // others may claim now: its row is worked out anew, and they wake
}
