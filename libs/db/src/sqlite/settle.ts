import { DEFAULT_ACCOUNT_ID } from "@async-mail/domain/account";
import { holdDelayMs } from "@async-mail/domain/backoff";
import type { DeferralClass, Outcome, Recipient } from "@async-mail/domain/outcome";
import { toWallMs } from "@async-mail/domain/time";
import type { Database } from "better-sqlite3";
import type { ClaimRef, Settled } from "../store.ts";
import { countSend } from "./limits.ts";
import type { MessageRow } from "./message-row.ts";
import type { Queue } from "./queue-row.ts";
import { columnsOf, statement } from "./statement.ts";
import type { Tx } from "./tx.ts";

/** Writing what came of a claim. The fence is the message's key with the claim's number; nothing else names a row here. */

/** A message on which so many dispatchers were lost is sent alone; on so many, no more. */
const SOLO_AFTER = 3;
const DIED_AFTER = 5;

/** Bits of `reported_classes`. */
export const CLASS_BIT: Record<DeferralClass, number> = { limit: 1, retry: 2, held: 4, attachment: 8 };

const CLAIMED = (db: Database) =>
  `SELECT ${columnsOf(db, "messages", "m")} FROM messages m WHERE m.key = ? AND m.claim = ? AND m.state = 'claimed'`;
const CLAIMED_BY = (db: Database) =>
  `SELECT ${columnsOf(db, "messages", "m")} FROM messages m WHERE m.process = ? AND m.state = 'claimed'`;
const FINISH =
  "UPDATE messages SET state = @state, process = NULL, sent_ms = @sentMs, error_ms = @errorMs, ended_ms = @wallMs, error = @error, " +
  "deferred_ms = NULL, deferred_reason = NULL, attempts = @attempts, recipients = @recipients, smtp_response = @response, " +
  "updated_ms = @wallMs, seq = @seq, report_ms = @steadyMs, report_tries = 0, reported_ms = NULL WHERE key = @key";
const DEFER =
  "UPDATE messages SET state = 'waiting', process = NULL, due_ms = @dueMs, deferred_ms = @deferredMs, deferred_reason = @reason, " +
  "attempts = @attempts, recipients = coalesce(@recipients, recipients), recipient_count = @recipientCount, smtp_response = coalesce(@response, smtp_response), " +
  "updated_ms = @wallMs, seq = @seq, report_ms = @reportMs, report_tries = 0, reported_ms = NULL WHERE key = @key";
const PUT_BACK = "UPDATE messages SET state = @state, process = NULL, lost_claims = @lostClaims WHERE key = @key";
const REMEMBER =
  "INSERT INTO history (message, claim, at_ms, outcome, code, response, until_ms) VALUES (@message, @claim, @atMs, @outcome, @code, @response, @untilMs)";

export function settle(tx: Tx, ref: ClaimRef, outcome: Outcome): Settled {
  const row = statement<MessageRow>(tx.db, CLAIMED).get(ref.messageKey, ref.claim);
  if (!row) return { written: false, held: null, released: false };
  const queue = tx.queue(row.queue);
  leaveFlight(queue, row);
  if (sawServer(outcome)) countSend(tx, queue, row.recipientCount);
  if (isDeleted(queue) && outcome.kind !== "sent" && outcome.kind !== "error") {
    finish(tx, row, queue, "error", {
      error: "account deleted",
      recipients: known(row),
      mailFromSent: sawServer(outcome),
    });
    return { written: true, held: null, released: false };
  }
  switch (outcome.kind) {
    case "sent":
      finish(tx, row, queue, "sent", outcome);
      break;
    case "error":
      finish(tx, row, queue, "error", outcome);
      break;
    case "deferred":
      defer(tx, row, queue, outcome);
      break;
    case "held":
      return { written: true, held: hold(tx, row, queue, outcome), released: false };
    case "given_back":
      statement(tx.db, PUT_BACK).run({ key: row.key, state: backTo(row.lostClaims), lostClaims: row.lostClaims });
      return { written: true, held: null, released: false };
  }
  return { written: true, held: null, released: sawServer(outcome) && endFaultHold(queue) };
}

/** What was being sent when its account was deleted may finish, but not wait again. */
function isDeleted(queue: Queue): boolean {
  return queue.account === null && queue.accountId !== DEFAULT_ACCOUNT_ID;
}

function known(row: MessageRow): Recipient[] {
  return row.recipients === null ? [] : JSON.parse(row.recipients);
}

function leaveFlight(queue: Queue, row: MessageRow): void {
  queue.inFlight -= 1;
  queue.inFlightRecipients -= row.recipientCount;
}

/** Whether MAIL FROM was said: then the server counts it, and so do the limits. */
function sawServer(outcome: Outcome): boolean {
  switch (outcome.kind) {
    case "sent":
      return true;
    case "deferred":
      return outcome.countsAttempt;
    default:
      return outcome.mailFromSent;
  }
}

function finish(
  tx: Tx,
  row: MessageRow,
  queue: Queue,
  state: "sent" | "error",
  outcome: { error?: string; code?: number; response?: string; recipients: Recipient[]; mailFromSent?: boolean },
): void {
  const { wallMs, steadyMs } = tx.now;
  statement(tx.db, FINISH).run({
    key: row.key,
    state,
    wallMs,
    steadyMs,
    sentMs: state === "sent" ? wallMs : null,
    errorMs: state === "error" ? wallMs : null,
    error: outcome.error ?? null,
    attempts: row.attempts + (outcome.mailFromSent === false ? 0 : 1),
    recipients: JSON.stringify(outcome.recipients),
    response: outcome.response ?? row.smtpResponse,
    seq: tx.nextSeq(),
  });
  queue.pending -= 1;
  if (state === "sent") queue.sent += 1;
  else queue.errors += 1;
  if (row.reportMs === null) tx.service().reportsWaiting += 1;
  remember(tx, row, state, outcome.code, outcome.response ?? outcome.error, null);
}

function defer(tx: Tx, row: MessageRow, queue: Queue, outcome: Extract<Outcome, { kind: "deferred" }>): void {
  putOff(tx, row, {
    class: outcome.class,
    reason: outcome.reason,
    dueMs: outcome.untilMs,
    attempts: row.attempts + (outcome.countsAttempt ? 1 : 0),
    recipients: outcome.recipients,
    response: outcome.response,
  });
  queue.deferred += 1;
  remember(
    tx,
    row,
    `deferred: ${outcome.class}`,
    outcome.code,
    outcome.response ?? outcome.reason,
    toWallMs(outcome.untilMs, tx.now),
  );
}

/** The account's fault: it is held (once, however many attempts met the same fault), and this message waits with it. */
function hold(tx: Tx, row: MessageRow, queue: Queue, outcome: Extract<Outcome, { kind: "held" }>): Settled["held"] {
  const alreadyHeld = queue.heldBy !== null && (queue.holdUntilMs === null || queue.holdUntilMs > tx.now.steadyMs);
  if (!alreadyHeld) {
    queue.heldSinceMs ??= tx.now.steadyMs;
    queue.holdFailures += 1;
    queue.heldBy = "fault";
    queue.holdReason = outcome.reason;
    queue.holdUntilMs = tx.now.steadyMs + holdDelayMs(queue.holdFailures);
  }
  const untilMs = queue.holdUntilMs ?? tx.now.steadyMs;
  // Due just after the others: the next probe is a different message.
  putOff(tx, row, {
    class: "held",
    reason: `held: ${outcome.reason}`,
    dueMs: untilMs + 1,
    attempts: row.attempts,
    response: outcome.response,
  });
  queue.deferred += 1;
  remember(tx, row, "held", outcome.code, outcome.response ?? outcome.reason, toWallMs(untilMs, tx.now));
  return alreadyHeld ? null : { reason: outcome.reason, untilMs };
}

function putOff(
  tx: Tx,
  row: MessageRow,
  to: {
    class: DeferralClass;
    reason: string;
    dueMs: number;
    attempts: number;
    recipients?: Recipient[];
    response?: string;
  },
): void {
  const unreported = (row.reportedClasses & CLASS_BIT[to.class]) === 0;
  const reportMs = row.reportMs !== null || unreported ? tx.now.steadyMs : null;
  if (row.reportMs === null && reportMs !== null) tx.service().reportsWaiting += 1;
  const waiting = to.recipients?.filter((recipient) => recipient.outcome === "waiting").length;
  statement(tx.db, DEFER).run({
    key: row.key,
    dueMs: to.dueMs,
    deferredMs: toWallMs(to.dueMs, tx.now),
    reason: to.reason,
    attempts: to.attempts,
    recipients: to.recipients ? JSON.stringify(to.recipients) : null,
    recipientCount: waiting || row.recipientCount,
    response: to.response ?? null,
    wallMs: tx.now.wallMs,
    seq: tx.nextSeq(),
    reportMs,
  });
}

/** An attempt that reached the server about a message shows that the account works. */
function endFaultHold(queue: Queue): boolean {
  const held = queue.heldBy === "fault";
  queue.holdFailures = 0;
  if (held) release(queue);
  return held;
}

export function release(queue: Queue): void {
  queue.heldBy = null;
  queue.holdReason = null;
  queue.heldSinceMs = null;
  queue.holdUntilMs = null;
  queue.holdFailures = 0;
}

/**
 * Takes back what a process claimed: given back in good order, or lost with it. A lost claim counts for the limits
 * from now on, since nobody knows how far it went.
 */
export function takeBack(tx: Tx, process: number, how: "given back" | "lost"): void {
  for (const row of statement<MessageRow>(tx.db, CLAIMED_BY).all(process)) {
    const queue = tx.queue(row.queue);
    leaveFlight(queue, row);
    const lostClaims = row.lostClaims + (how === "lost" ? 1 : 0);
    if (how === "lost") countSend(tx, queue, row.recipientCount);
    if (lostClaims >= DIED_AFTER || isDeleted(queue)) {
      const error = isDeleted(queue) ? "account deleted" : `delivery attempt died ${DIED_AFTER} times`;
      finish(tx, row, queue, "error", { error, recipients: known(row), mailFromSent: how === "lost" });
      continue;
    }
    statement(tx.db, PUT_BACK).run({ key: row.key, state: backTo(lostClaims), lostClaims });
    if (how === "lost") remember(tx, row, "lost", undefined, "the dispatcher was lost during the attempt", null);
  }
}

function backTo(lostClaims: number): "solo" | "waiting" {
  return lostClaims >= SOLO_AFTER ? "solo" : "waiting";
}

function remember(
  tx: Tx,
  row: MessageRow,
  outcome: string,
  code: number | undefined,
  response: string | undefined,
  untilMs: number | null,
): void {
  statement(tx.db, REMEMBER).run({
    message: row.key,
    claim: row.claim,
    atMs: tx.now.wallMs,
    outcome,
    code: code ?? null,
    response: response ?? null,
    untilMs,
  });
}
