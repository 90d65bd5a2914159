import type { OnAmbiguous } from "./account.ts";
import { retryDelayByAgeMs, retryDelayMs } from "./backoff.ts";
import type { DeferralClass, FinalOutcome, Outcome, Reply, SmtpStage } from "./outcome.ts";
import { oneLine } from "./read.ts";
import {
  type Answered,
  answeredOf,
  givenUp,
  judged,
  mergeRecipients,
  type Recipient,
  stillWaiting,
} from "./recipient.ts";
import { isBeforeMail, type MeaningOf } from "./reply-meaning.ts";
import type { Instant } from "./time.ts";

export type AttemptFacts = {
  /** Attempts counted before this one. */
  attempts: number;
  /** Steady ms; `maxAgeMs` counts from here. */
  firstDueMs: number;
  /** Wall ms. */
  expiresMs: number | null;
  /** The message's, else the account's, else the configured. */
  onAmbiguous: OnAmbiguous;
  /** As they stood before this attempt. */
  recipients: Recipient[];
};

export type RetryPolicy = {
  retryDelaysMs: number[];
  maxAgeMs: number;
  /** A random number from 0 to 1. */
  jitter: number;
  meaningOf: MeaningOf;
};

/** What is written for an attempt that ended in `reply`. Contract §5. */
export function decide(reply: Reply, facts: AttemptFacts, now: Instant, policy: RetryPolicy): Outcome {
  return decideShortened(shortened(reply), { facts, now, policy });
}

function decideShortened(reply: Reply, attempt: Attempt): Outcome {
  switch (reply.kind) {
    case "accepted":
      return decideAccepted(reply, attempt);
    case "refused":
      return decideRefused(reply, attempt);
    case "unreachable":
      return hold(attempt, { text: reply.reason, mailFromSent: false, throttled: isThrottled(reply, attempt) });
    case "broken":
      return retry(attempt, { text: reply.reason, recipients: attempt.facts.recipients });
    case "ambiguous":
      return decideAmbiguous(reply, attempt);
    case "uncomposed":
      return decideUncomposed(reply, attempt);
    case "given_back":
      return reply;
  }
}

// Servers answer with a megabyte if they like; this goes into rows, reports and logs.
const LONGEST_TEXT = 500;

function shortened(reply: Reply): Reply {
  if ("reason" in reply) return { ...reply, reason: shorten(reply.reason) };
  const recipients = reply.recipients.map((one) =>
    one.response === undefined ? one : { ...one, response: shorten(one.response) },
  );
  return { ...reply, response: shorten(reply.response), recipients };
}

function shorten(text: string): string {
  return oneLine(text).trim().slice(0, LONGEST_TEXT);
}

/** For a claimed message that is no longer worth sending: its end. Null: send it. */
export function expiredBeforeSending(
  facts: Pick<AttemptFacts, "expiresMs" | "recipients">,
  now: Instant,
): FinalOutcome | null {
  return hasExpired(facts, now) ? end({ error: "expired", recipients: facts.recipients, mailFromSent: false }) : null;
}

type Attempt = { facts: AttemptFacts; now: Instant; policy: RetryPolicy };

function decideAccepted(reply: Extract<Reply, { kind: "accepted" }>, attempt: Attempt): Outcome {
  const { code, response } = reply;
  const ofAttempt = reply.recipients.map((one) => judged(one, attempt.policy.meaningOf, { code, response }));
  const recipients = mergeRecipients(attempt.facts.recipients, ofAttempt);
  const refused = reply.recipients.filter(({ outcome }) => outcome !== "accepted");
  const fault = accountFault(refused, "rcpt", attempt.policy.meaningOf);
  if (fault !== null) return holdFor(fault, attempt, { mailFromSent: true, recipients });
  return retryWaiting(attempt, recipients) ?? { kind: "sent", code, response, recipients, mailFromSent: true };
}

function decideRefused(reply: Extract<Reply, { kind: "refused" }>, attempt: Attempt): Outcome {
  const { stage, code, response } = reply;
  const { meaningOf } = attempt.policy;
  const fault = accountFault([{ code, response }, ...reply.recipients], stage, meaningOf);
  if (fault !== null && isBeforeMail(stage)) return holdFor(fault, attempt, { mailFromSent: false, at: stage });
  // Accepted at RCPT is not delivered: the message itself was refused.
  const undelivered = reply.recipients.map((one) => (one.outcome === "accepted" ? stillWaiting(one) : one));
  const recipients = mergeRecipients(
    attempt.facts.recipients,
    undelivered.map((one) => judged(one, meaningOf)),
  );
  if (fault !== null) return holdFor(fault, attempt, { mailFromSent: true, recipients });
  return stage === "rcpt" && reply.recipients.length > 0
    ? decideRefusedRecipients(reply, recipients, attempt)
    : decideRefusedMessage(reply, recipients, attempt);
}

function isThrottled({ stage, greeting }: Extract<Reply, { kind: "unreachable" }>, { policy }: Attempt): boolean {
  return greeting !== undefined && policy.meaningOf(stage, greeting.code, greeting.response) === "throttle";
}

type AccountFault = { answer: Answered; meaning: "account" | "throttle" };

/** The first answer that is about the account. */
function accountFault(answers: Answered[], stage: SmtpStage, meaningOf: MeaningOf): AccountFault | null {
  for (const answer of answers) {
    const meaning = answer.code === undefined ? "unknown" : meaningOf(stage, answer.code, answer.response ?? "");
    if (meaning === "account" || meaning === "throttle") return { answer, meaning };
  }
  return null;
}

function holdFor(
  { answer, meaning }: AccountFault,
  attempt: Attempt,
  { at, ...rest }: { mailFromSent: boolean; at?: SmtpStage; recipients?: Recipient[] },
): Outcome {
  const text = at === undefined ? replyText(answer) : `${at} refused: ${replyText(answer)}`;
  return hold(attempt, { text, answered: answeredOf(answer), throttled: meaning === "throttle", ...rest });
}

function decideRefusedMessage(
  answered: Required<Answered> & { stage: SmtpStage },
  recipients: Recipient[],
  attempt: Attempt,
): Outcome {
  const { stage, code, response } = answered;
  const text = replyText(answered);
  if (attempt.policy.meaningOf(stage, code, response) === "unknown")
    return retry(attempt, { text, recipients, answered: { code, response } });
  return end({ error: text, recipients, answered: { code, response }, mailFromSent: true });
}

/** Nobody was accepted in this attempt. */
function decideRefusedRecipients(answered: Required<Answered>, recipients: Recipient[], attempt: Attempt): Outcome {
  const { code, response } = answered;
  const all = recipients.length > 1 ? `all ${recipients.length} recipients refused: ` : "";
  const error = all + replyText(answered);
  return (
    retryWaiting(attempt, recipients) ?? end({ error, recipients, answered: { code, response }, mailFromSent: true })
  );
}

/** Again, for those whom the server asked to wait. Null: there is nobody left. */
function retryWaiting(attempt: Attempt, recipients: Recipient[]): Outcome | null {
  const waiting = recipients.filter(({ outcome }) => outcome === "waiting");
  const [first] = waiting;
  if (first === undefined) return null;
  const some = waiting.length < recipients.length ? `${waiting.length} of ${recipients.length} recipients: ` : "";
  return retry(attempt, { text: some + replyText(first), recipients, answered: answeredOf(first) });
}

function decideAmbiguous(reply: Extract<Reply, { kind: "ambiguous" }>, attempt: Attempt): Outcome {
  const text = `no reply after DATA, it may have been delivered: ${reply.reason}`;
  const { recipients, onAmbiguous } = attempt.facts;
  const failure = { text, recipients, ambiguous: true };
  if (onAmbiguous === "retry") return retry(attempt, failure);
  return end({ ...failure, error: text, mailFromSent: true });
}

function decideUncomposed(reply: Extract<Reply, { kind: "uncomposed" }>, attempt: Attempt): Outcome {
  const { recipients, firstDueMs } = attempt.facts;
  if (reply.permanent) return end({ error: reply.reason, recipients, mailFromSent: false });
  const ageMs = attempt.now.steadyMs - firstDueMs;
  const usualMs = retryDelayByAgeMs(ageMs, attempt.policy.retryDelaysMs, attempt.policy.jitter);
  const delayMs = Math.max(usualMs, reply.retryAfterMs ?? 0);
  return defer(attempt, { class: "attachment", text: reply.reason, recipients, delayMs, countsAttempt: false });
}

/** The account's fault. A message that has waited behind such too long ends; the account is held all the same. */
function hold(
  { facts, now, policy }: Attempt,
  fault: { text: string; answered?: Answered; mailFromSent: boolean; throttled: boolean; recipients?: Recipient[] },
): Outcome {
  const { text, answered = {}, mailFromSent, throttled } = fault;
  const { firstDueMs } = facts;
  const known = fault.recipients === undefined ? {} : { recipients: fault.recipients };
  const recipients = fault.recipients ?? facts.recipients;
  const tooOld = now.steadyMs >= firstDueMs + policy.maxAgeMs;
  const error = hasExpired(facts, now) ? "expired" : tooOld ? `expired: ${text}` : null;
  const ended = error === null ? null : end({ error, recipients, answered, mailFromSent });
  return { kind: "held", reason: text, ...answered, mailFromSent, throttled, ...known, end: ended };
}

/** The end of a message that is not worth, or not able, to be tried again. */
export function endOf(recipients: Recipient[], error: string, mailFromSent: boolean): FinalOutcome {
  return end({ error, recipients, mailFromSent });
}

type Failure = { text: string; recipients: Recipient[]; answered?: Answered; ambiguous?: boolean };

function retry(attempt: Attempt, failure: Failure): Outcome {
  const { facts, policy } = attempt;
  const delayMs = retryDelayMs(facts.attempts, policy.retryDelaysMs, policy.jitter);
  return defer(attempt, { ...failure, class: "retry", delayMs, countsAttempt: true });
}

type Deferral = Failure & { class: DeferralClass; delayMs: number; countsAttempt: boolean };

/** Later, unless it has become too old for that. The last try comes when it just has. */
function defer({ facts, now, policy }: Attempt, deferral: Deferral): Outcome {
  const { text, recipients, answered = {}, countsAttempt, delayMs, ambiguous } = deferral;
  const failure = { recipients, answered, mailFromSent: countsAttempt, ambiguous };
  if (hasExpired(facts, now)) return end({ ...failure, error: "expired" });
  const lastTryMs = facts.firstDueMs + policy.maxAgeMs;
  if (now.steadyMs >= lastTryMs) return end({ ...failure, error: `expired: ${text}` });
  const untilMs = Math.min(now.steadyMs + delayMs, lastTryMs);
  return {
    kind: "deferred",
    class: deferral.class,
    reason: `${deferral.class}: ${text}`,
    untilMs,
    countsAttempt,
    ...answered,
    recipients,
    ...(ambiguous ? { ambiguous } : {}),
  };
}

type End = { error: string; recipients: Recipient[]; answered?: Answered; mailFromSent: boolean; ambiguous?: boolean };

/** Whoever still waited gets nothing more. It counts as sent when an earlier attempt, or this one, reached anybody. */
function end({ error, recipients, answered = {}, mailFromSent, ambiguous }: End): FinalOutcome {
  const ended = recipients.map((one) => (one.outcome === "waiting" ? givenUp(one, error, answered) : one));
  const reached = ended.find(({ outcome }) => outcome === "accepted");
  const doubt = ambiguous ? { ambiguous } : {};
  if (reached === undefined) {
    return { kind: "error", error, ...answered, recipients: ended, mailFromSent, ...doubt };
  }
  const { code = 250, response = "" } = reached;
  return { kind: "sent", code, response, recipients: ended, mailFromSent, ...doubt };
}

function hasExpired({ expiresMs }: Pick<AttemptFacts, "expiresMs">, now: Instant): boolean {
  return expiresMs !== null && now.wallMs >= expiresMs;
}

function replyText({ code, response = "" }: Answered): string {
  return code === undefined || response.startsWith(String(code)) ? response : `${code} ${response}`.trim();
}
