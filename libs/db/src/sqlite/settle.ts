import { DEFAULT_ACCOUNT_ID } from "@async-mail/domain/account";
import { holdDelayMs } from "@async-mail/domain/backoff";
import type { DeferralClass, FinalOutcome, Outcome, Recipient } from "@async-mail/domain/outcome";
import { toWallMs } from "@async-mail/domain/time";
import type { ClaimRef, Settled } from "../store.ts";
import { ended, finish } from "./finish.ts";
import { beginHold, release, tellsOfNow } from "./hold.ts";
import { countSend } from "./limits.ts";
import { type AttemptRow, SELECT_ATTEMPT } from "./message-row.ts";
import { isHeld, type Queue } from "./queue-row.ts";
import { slowDown, slowed } from "./slowing.ts";
import { statement } from "./statement.ts";
import type { Tx } from "./tx.ts";

/** Writing what came of a claim. The fence is the message's key with the claim's number; nothing else names a row here. */

/** A message on which so many dispatchers were lost is sent alone; on so many, no more. */
const SOLO_AFTER = 3;
const DIED_AFTER = 5;

/** Bits of `reported_classes`. */
export const CLASS_BIT: Record<DeferralClass, number> = { limit: 1, retry: 2, held: 4, attachment: 8 };

const CLAIMED = `${SELECT_ATTEMPT} WHERE key = ? AND claim = ? AND state = 'claimed'`;
const CLAIMED_BY = `${SELECT_ATTEMPT} WHERE process = ? AND state = 'claimed'`;
const DEFER =
  "UPDATE messages SET state = 'waiting', process = NULL, due_ms = @dueMs, deferred_ms = @deferredMs, deferred_reason = @reason, " +
  "attempts = @attempts, recipients = coalesce(@recipients, recipients), recipient_count = @recipientCount, smtp_response = coalesce(@response, smtp_response), " +
  "updated_ms = @wallMs, seq = @seq, report_ms = @reportMs, report_tries = 0, reported_ms = NULL WHERE key = @key";
/** Of a first attempt that never began there is no moment to remember: a later one gives the Date. */
const PUT_BACK =
  "UPDATE messages SET state = @state, process = NULL, lost_claims = @lostClaims, " +
  "first_attempt_ms = CASE WHEN attempts = 0 AND lost_claims = 0 AND deferred_reason IS NULL AND NOT @begun " +
  "THEN NULL ELSE first_attempt_ms END WHERE key = @key";
const HELD_BEFORE = "SELECT count(*) FROM history WHERE message = ? AND outcome = 'held'";
const REMEMBER =
  "INSERT INTO history (message, claim, at_ms, outcome, code, response, until_ms) VALUES (?, ?, ?, ?, ?, ?, ?)";

type Held = Extract<Outcome, { kind: "held" }>;

export function settle(tx: Tx, ref: ClaimRef, outcome: Outcome): Settled {
  const row = statement<AttemptRow>(tx.db, CLAIMED).get(ref.messageKey, ref.claim);
  if (!row) return { written: false, held: null, released: false };
  const queue = tx.queue(row.queue);
  const wasProbe = leaveFlight(tx, queue, row);
  if (sawServer(outcome)) countAttempt(tx, queue, row);
  if (isDeleted(queue) && !isFinal(outcome)) {
    const known = "recipients" in outcome ? { ...row, recipients: JSON.stringify(outcome.recipients) } : row;
    const error = deletedWord(tx, queue);
    finish(tx, row, queue, ended(tx, known, error, sawServer(outcome)));
    remember(tx, row, "error", undefined, error, null);
    return { written: true, held: null, released: false };
  }
  switch (outcome.kind) {
    case "sent":
    case "error":
      finish(tx, row, queue, outcome);
      remember(tx, row, nameOf(outcome), outcome.code, outcome.response ?? errorOf(outcome), null);
      break;
    case "deferred":
      defer(tx, row, queue, outcome);
      break;
    case "held":
      return { written: true, held: hold(tx, row, queue, outcome, wasProbe), released: false };
    case "given_back":
      putBack(tx, row, row.lostClaims, outcome.mailFromSent);
      return { written: true, held: null, released: false };
  }
  // An attempt that reached the server about a message shows that the account works, if it was begun since the fault.
  const works = queue.heldBy === "fault" && wasProbe && sawServer(outcome);
  if (works) release(queue);
  return { written: true, held: null, released: works };
}

function isFinal(outcome: Outcome): outcome is FinalOutcome {
  return outcome.kind === "sent" || outcome.kind === "error";
}

/** The outcome's name in the history. */
function nameOf(outcome: FinalOutcome | Extract<Outcome, { kind: "deferred" }>): string {
  if ("ambiguous" in outcome && outcome.ambiguous) return "ambiguous";
  return outcome.kind === "deferred" ? `deferred: ${outcome.class}` : outcome.kind;
}

function errorOf(outcome: FinalOutcome): string | undefined {
  return outcome.kind === "error" ? outcome.error : undefined;
}

/** What was being sent when its account was deleted may finish, but not wait again. */
function isDeleted(queue: Queue): boolean {
  return queue.account === null && queue.accountId !== DEFAULT_ACCOUNT_ID;
}

/** The error of what an account, or its tenant, took with it. */
export function deletedWord(tx: Tx, queue: Queue): string {
  return tx.tenant(queue.tenantId).deletedMs === null ? "account deleted" : "tenant deleted";
}

/** Answers whether it was the one that tried a held account. */
function leaveFlight(tx: Tx, queue: Queue, row: AttemptRow): boolean {
  for (const counted of [queue, tx.tenant(queue.tenantId)]) {
    counted.inFlight -= 1;
    counted.inFlightRecipients -= row.recipientCount;
  }
  const wasProbe = queue.probe === row.key;
  if (wasProbe) queue.probe = null;
  return wasProbe;
}

/** For the limits of its account, and of its tenant. */
function countAttempt(tx: Tx, queue: Queue, { recipientCount }: AttemptRow): void {
  for (const counted of [queue, tx.tenant(queue.tenantId)]) countSend(counted, recipientCount, tx.now.steadyMs);
}

/** Whether MAIL FROM was said: then the server counts it, and so do the limits. */
function sawServer(outcome: Outcome): boolean {
  switch (outcome.kind) {
    case "deferred":
      return outcome.countsAttempt;
    default:
      return outcome.mailFromSent;
  }
}

function defer(tx: Tx, row: AttemptRow, queue: Queue, outcome: Extract<Outcome, { kind: "deferred" }>): void {
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
    nameOf(outcome),
    outcome.code,
    outcome.response ?? outcome.reason,
    toWallMs(outcome.untilMs, tx.now),
  );
}

/** The account's fault: it is held (once, however many attempts met the same fault), and this message waits with it. */
function hold(tx: Tx, row: AttemptRow, queue: Queue, outcome: Held, wasProbe: boolean): Settled["held"] {
  const begins = !isHeld(queue, tx.now.steadyMs) && tellsOfNow(queue, wasProbe);
  if (begins) beginHold(tx, queue, outcome.reason);
  if (begins && outcome.throttled) slowDown(tx, queue, outcome.reason);
  const untilMs = queue.holdUntilMs ?? tx.now.steadyMs;
  if (outcome.end) {
    finish(tx, row, queue, outcome.end);
    remember(tx, row, outcome.end.kind, outcome.code, outcome.response ?? outcome.reason, null);
  } else putOffBehindHold(tx, row, queue, outcome, untilMs);
  return begins ? { reason: outcome.reason, untilMs, slowed: slowed(queue, tx.now.steadyMs) } : null;
}

function putOffBehindHold(tx: Tx, row: AttemptRow, queue: Queue, outcome: Held, holdUntilMs: number): void {
  // Due after the others, so that the next probe is a different message, and later each time: what the server says of
  // the account may be about this message alone, and the others' success would have it try for ever.
  const heldBefore = statement<number>(tx.db, HELD_BEFORE).pluck().get(row.key)!;
  const dueMs = Math.max(holdUntilMs + 1, tx.now.steadyMs + holdDelayMs(heldBefore + 1));
  putOff(tx, row, {
    class: "held",
    reason: `held: ${outcome.reason}`,
    dueMs,
    attempts: row.attempts,
    ...(outcome.recipients ? { recipients: outcome.recipients } : {}),
    response: outcome.response,
  });
  queue.deferred += 1;
  remember(tx, row, "held", outcome.code, outcome.response ?? outcome.reason, toWallMs(dueMs, tx.now));
}

function putOff(
  tx: Tx,
  row: AttemptRow,
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
  if (row.reportMs === null && reportMs !== null) tx.tenant(tx.queue(row.queue).tenantId).reportsWaiting += 1;
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

/**
 * Takes back what a process claimed: given back in good order, or lost with it. A lost claim counts for the limits
 * from now on, since nobody knows how far it went.
 */
export function takeBack(tx: Tx, process: number, how: "given back" | "lost"): void {
  for (const row of statement<AttemptRow>(tx.db, CLAIMED_BY).all(process)) {
    const queue = tx.queue(row.queue);
    leaveFlight(tx, queue, row);
    const lostClaims = row.lostClaims + (how === "lost" ? 1 : 0);
    if (how === "lost") countAttempt(tx, queue, row);
    if (lostClaims >= DIED_AFTER || isDeleted(queue)) {
      const error = isDeleted(queue) ? deletedWord(tx, queue) : `delivery attempt died ${DIED_AFTER} times`;
      finish(tx, row, queue, ended(tx, row, error, how === "lost"));
      remember(tx, row, "error", undefined, error, null);
      continue;
    }
    putBack(tx, row, lostClaims, true);
    if (how === "lost") remember(tx, row, "lost", undefined, "the dispatcher was lost during the attempt", null);
  }
}

function putBack(tx: Tx, row: AttemptRow, lostClaims: number, begun: boolean): void {
  statement(tx.db, PUT_BACK).run({ key: row.key, state: backTo(lostClaims), lostClaims, begun: begun ? 1 : 0 });
}

function backTo(lostClaims: number): "solo" | "waiting" {
  return lostClaims >= SOLO_AFTER ? "solo" : "waiting";
}

function remember(
  tx: Tx,
  row: AttemptRow,
  outcome: string,
  code: number | undefined,
  response: string | undefined,
  untilMs: number | null,
): void {
  const { key, claim } = row;
  statement(tx.db, REMEMBER).run(key, claim, tx.now.wallMs, outcome, code ?? null, response ?? null, untilMs);
}
