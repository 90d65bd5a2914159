import assert from "node:assert/strict";
import { test } from "node:test";
import { type AttemptFacts, decide, expiredBeforeSending, type RetryPolicy } from "@async-mail/domain/decide";
import type { Outcome, Recipient, Reply, SmtpStage } from "@async-mail/domain/outcome";
import { meanings } from "@async-mail/domain/reply-meaning";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
// The two clocks differ, so that a mix-up shows.
const NOW = { wallMs: 9_000_000_000, steadyMs: 5_000_000_000 };
const POLICY: RetryPolicy = {
  retryDelaysMs: [MINUTE, 5 * MINUTE, 15 * MINUTE],
  maxAgeMs: 48 * HOUR,
  jitter: 0,
  meaningOf: meanings(),
};

const waiting = (address: string): Recipient => ({ address, outcome: "waiting" });
const took = (address: string): Recipient => ({ address, outcome: "accepted", code: 250, response: "2.1.5 ok" });
const refusedBy = (address: string, code: number, response: string): Recipient => ({
  address,
  outcome: "refused",
  code,
  response,
});

const FACTS: AttemptFacts = {
  attempts: 0,
  firstDueMs: NOW.steadyMs,
  expiresMs: null,
  onAmbiguous: "retry",
  recipients: [waiting("a@b.c")],
};

function outcome(reply: Reply, facts: Partial<AttemptFacts> = {}, policy: Partial<RetryPolicy> = {}): Outcome {
  return decide(reply, { ...FACTS, ...facts }, NOW, { ...POLICY, ...policy });
}

function refused(stage: SmtpStage, code: number, response: string, recipients: Recipient[] = []): Reply {
  return { kind: "refused", stage, code, response, recipients };
}

function accepted(...recipients: Recipient[]): Reply {
  return { kind: "accepted", code: 250, response: "2.0.0 queued", recipients };
}

test("decide: accepted by all is sent", () => {
  assert.deepEqual(outcome(accepted(took("a@b.c"))), {
    kind: "sent",
    code: 250,
    response: "2.0.0 queued",
    recipients: [took("a@b.c")],
    mailFromSent: true,
  });
});

test("decide: one accepted and the others refused for good is sent, with each recipient's outcome", () => {
  const gone = refusedBy("d@e.f", 550, "5.1.1 no such user");
  const decided = outcome(accepted(took("a@b.c"), gone), { recipients: [waiting("a@b.c"), waiting("d@e.f")] });
  assert.equal(decided.kind, "sent");
  assert.deepEqual(decided.kind === "sent" && decided.recipients, [took("a@b.c"), gone]);
});

test("decide: whoever was asked to wait is tried again, alone", () => {
  const later = refusedBy("d@e.f", 450, "4.2.0 greylisted");
  const decided = outcome(accepted(took("a@b.c"), later), { recipients: [waiting("a@b.c"), waiting("d@e.f")] });
  assert.deepEqual(decided, {
    kind: "deferred",
    class: "retry",
    reason: "retry: 1 of 2 recipients: 450 4.2.0 greylisted",
    untilMs: NOW.steadyMs + MINUTE,
    countsAttempt: true,
    code: 450,
    response: "4.2.0 greylisted",
    recipients: [took("a@b.c"), { ...later, outcome: "waiting" }],
  });
});

test("decide: recipients of earlier attempts keep their outcome", () => {
  const before = [took("a@b.c"), refusedBy("d@e.f", 550, "5.1.1 gone"), waiting("g@h.i")];
  const sent = outcome(accepted(took("g@h.i")), { recipients: before, attempts: 1 });
  assert.deepEqual(sent.kind === "sent" && sent.recipients, [before[0], before[1], took("g@h.i")]);

  const again = outcome(refused("rcpt", 450, "busy", [refusedBy("g@h.i", 450, "busy")]), {
    recipients: before,
    attempts: 1,
  });
  assert.equal(again.kind === "deferred" && again.reason, "retry: 1 of 3 recipients: 450 busy");
  assert.equal(again.kind === "deferred" && again.untilMs, NOW.steadyMs + 5 * MINUTE);
});

test("decide: what was accepted or refused before is not changed by a later answer", () => {
  const before = [took("a@b.c"), refusedBy("d@e.f", 550, "5.1.1 gone"), waiting("g@h.i")];
  const later = [refusedBy("a@b.c", 550, "5.1.1 gone"), took("d@e.f"), took("g@h.i")];
  const decided = outcome(accepted(...later), { recipients: before });
  assert.deepEqual(decided.kind === "sent" && decided.recipients, [before[0], before[1], took("g@h.i")]);
});

test("decide: the last one refused for good ends a message that others had taken as sent", () => {
  const before = [took("a@b.c"), waiting("d@e.f")];
  const gone = refusedBy("d@e.f", 550, "5.1.1 gone");
  const decided = outcome(refused("rcpt", 550, "5.1.1 gone", [gone]), { recipients: before, attempts: 1 });
  assert.deepEqual(decided, {
    kind: "sent",
    code: 250,
    response: "2.1.5 ok",
    recipients: [before[0], gone],
    mailFromSent: true,
  });
});

test("decide: all refused for good is an error", () => {
  const both = [refusedBy("a@b.c", 550, "5.1.1 no such user"), refusedBy("d@e.f", 551, "not here")];
  const decided = outcome(refused("rcpt", 550, "5.1.1 no such user", both), {
    recipients: [waiting("a@b.c"), waiting("d@e.f")],
  });
  assert.deepEqual(decided, {
    kind: "error",
    error: "all 2 recipients refused: 550 5.1.1 no such user",
    code: 550,
    response: "5.1.1 no such user",
    recipients: both,
    mailFromSent: true,
  });
  const one = outcome(
    refused("rcpt", 550, "550 5.1.1 no such user", [refusedBy("a@b.c", 550, "550 5.1.1 no such user")]),
  );
  assert.equal(one.kind === "error" && one.error, "550 5.1.1 no such user");
});

test("decide: accepted at RCPT is not delivered when the message is refused", () => {
  const attempt = [took("a@b.c"), refusedBy("d@e.f", 550, "5.1.1 gone")];
  const recipients = [waiting("a@b.c"), waiting("d@e.f")];
  const error = outcome(refused("dot", 554, "5.6.0 spam", attempt), { recipients });
  assert.equal(error.kind === "error" && error.error, "554 5.6.0 spam");
  assert.deepEqual(error.kind === "error" && error.recipients, [
    { address: "a@b.c", outcome: "refused", code: 554, response: "5.6.0 spam" },
    attempt[1],
  ]);
  const retry = outcome(refused("dot", 451, "4.3.0 later", attempt), { recipients });
  assert.deepEqual(retry.kind === "deferred" && retry.recipients, [waiting("a@b.c"), attempt[1]]);
});

const BEFORE_MAIL: SmtpStage[] = ["dns", "connect", "tls", "greeting", "ehlo", "starttls", "auth"];

test("decide: any refusal before MAIL FROM holds the account", () => {
  for (const stage of BEFORE_MAIL) {
    for (const code of [421, 454, 500, 535, 550, 554]) {
      assert.deepEqual(outcome(refused(stage, code, "no")), {
        kind: "held",
        reason: `${stage} refused: ${code} no`,
        code,
        response: "no",
        mailFromSent: false,
        throttled: false,
        end: null,
      });
    }
  }
});

test("decide: a connection that could not be had holds the account", () => {
  const reply: Reply = { kind: "unreachable", stage: "connect", reason: "connection refused" };
  assert.deepEqual(outcome(reply), {
    kind: "held",
    reason: "connection refused",
    mailFromSent: false,
    throttled: false,
    end: null,
  });
});

test("decide: the providers' words for quotas and log-ins hold the account at every later stage too", () => {
  const words: [number, string][] = [
    [454, "4.7.0 Too many login attempts, please try again later"],
    [550, "5.4.5 Daily user sending limit exceeded"],
    [554, "5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"],
    [432, "4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded"],
    [550, "5.7.30 Basic authentication is not supported for Client Submission"],
    [454, "Throttling failure: Maximum sending rate exceeded."],
    [530, "5.7.1 Authentication required"],
  ];
  for (const stage of ["mail", "rcpt", "data", "dot"] as const) {
    for (const [code, response] of words) {
      const decided = outcome(
        refused(stage, code, response, stage === "rcpt" ? [refusedBy("a@b.c", code, response)] : []),
      );
      const reason = `${code} ${response}`;
      assert.ok(decided.kind === "held");
      const { recipients, ...held } = decided;
      assert.deepEqual(held, {
        kind: "held",
        reason,
        code,
        response,
        mailFromSent: true,
        throttled: code === 432 || response.startsWith("Throttling"),
        end: null,
      });
      assert.deepEqual(
        recipients?.map(({ address, outcome }) => [address, outcome]),
        [["a@b.c", "waiting"]],
      );
    }
  }
});

test("decide: what a reply means is the table's that is given", () => {
  const own = meanings([{ code: 550, enhanced: "5.1.1", meaning: "throttle" }]);
  const decided = outcome(refused("mail", 550, "5.1.1 not today"), {}, { meaningOf: own });
  assert.equal(decided.kind === "held" && decided.throttled, true);
  const waits = outcome(accepted(took("a@b.c"), refusedBy("d@e.f", 550, "5.1.1 not today")), {}, { meaningOf: own });
  assert.deepEqual(waits.kind === "held" && waits.recipients?.map((one) => one.outcome), ["accepted", "waiting"]);
});

test("decide: a quota met among the recipients holds the account, and is not held against the one it hit", () => {
  const quota = refusedBy("d@e.f", 550, "5.4.5 Daily user sending limit exceeded");
  const decided = outcome(accepted(took("a@b.c"), quota), { recipients: [waiting("a@b.c"), waiting("d@e.f")] });
  assert.deepEqual(decided, {
    kind: "held",
    reason: "550 5.4.5 Daily user sending limit exceeded",
    code: 550,
    response: "5.4.5 Daily user sending limit exceeded",
    mailFromSent: true,
    throttled: false,
    recipients: [took("a@b.c"), { ...quota, outcome: "waiting" }],
    end: null,
  });
});

test("decide: 4yz and anything unknown is tried again, 5yz is not", () => {
  for (const stage of ["mail", "data", "dot"] as const) {
    for (const code of [400, 421, 450, 451, 452, 499, 0, 299, 354, 600])
      assert.equal(outcome(refused(stage, code, "x")).kind, "deferred");
    for (const code of [500, 501, 550, 552, 554, 571, 599])
      assert.equal(outcome(refused(stage, code, "x")).kind, "error");
  }
});

test("decide: a break after MAIL FROM is the message's own", () => {
  const decided = outcome({ kind: "broken", stage: "data", reason: "connection reset" });
  assert.deepEqual(decided, {
    kind: "deferred",
    class: "retry",
    reason: "retry: connection reset",
    untilMs: NOW.steadyMs + MINUTE,
    countsAttempt: true,
    recipients: FACTS.recipients,
  });
});

test("decide: the attempts before choose the delay, the last one repeats, jitter only adds", () => {
  const untilMs = (attempts: number, jitter = 0) => {
    const decided = outcome({ kind: "broken", stage: "data", reason: "x" }, { attempts }, { jitter });
    return decided.kind === "deferred" && decided.untilMs - NOW.steadyMs;
  };
  assert.deepEqual(
    [0, 1, 2, 3, 99].map((attempts) => untilMs(attempts)),
    [1, 5, 15, 15, 15].map((minutes) => minutes * MINUTE),
  );
  assert.equal(untilMs(0, 1), 1.1 * MINUTE);
});

test("decide: an ambiguous send goes by on_ambiguous", () => {
  const reply: Reply = { kind: "ambiguous", reason: "connection closed" };
  const text = "no reply after DATA, it may have been delivered: connection closed";
  const retry = outcome(reply, { onAmbiguous: "retry" });
  assert.equal(retry.kind === "deferred" && retry.ambiguous && retry.reason, `retry: ${text}`);
  assert.deepEqual(outcome(reply, { onAmbiguous: "fail" }), {
    kind: "error",
    error: text,
    recipients: [{ address: "a@b.c", outcome: "refused", response: text }],
    mailFromSent: true,
    ambiguous: true,
  });
});

test("decide: what cannot be composed is an error, or waits for its attachments without counting", () => {
  const reason = "Attachment fetch failed: a.pdf: HTTP 503";
  const error = outcome({ kind: "uncomposed", permanent: true, reason });
  assert.ok(error.kind === "error" && error.error === reason && !error.mailFromSent);
  const fetched = (ageMs: number) =>
    outcome({ kind: "uncomposed", permanent: false, reason }, { firstDueMs: NOW.steadyMs - ageMs });
  const first = fetched(0);
  assert.ok(first.kind === "deferred" && first.class === "attachment" && !first.countsAttempt);
  assert.equal(first.reason, `attachment: ${reason}`);
  assert.equal(first.untilMs, NOW.steadyMs + MINUTE);
  const later = fetched(2 * MINUTE);
  assert.equal(later.kind === "deferred" && later.untilMs, NOW.steadyMs + 5 * MINUTE);
});

test("decide: what was given back stays as it is", () => {
  const reply: Reply = { kind: "given_back", reason: "stopping", mailFromSent: true };
  assert.deepEqual(outcome(reply), reply);
});

test("decide: too old becomes an error with the last reason", () => {
  const old = { firstDueMs: NOW.steadyMs - POLICY.maxAgeMs };
  const decided = outcome(refused("dot", 451, "4.3.0 later"), old);
  assert.ok(decided.kind === "error");
  assert.equal(decided.error, "expired: 451 4.3.0 later");
  assert.deepEqual(decided.recipients, [{ address: "a@b.c", outcome: "refused", code: 451, response: "4.3.0 later" }]);
});

test("decide: the last try comes when a message has just become too old", () => {
  const decided = outcome(refused("dot", 451, "later"), {
    firstDueMs: NOW.steadyMs - POLICY.maxAgeMs + 1000,
    attempts: 5,
  });
  assert.equal(decided.kind === "deferred" && decided.untilMs, NOW.steadyMs + 1000);
});

test("decide: too old, but taken by somebody before, is sent", () => {
  const recipients = [took("a@b.c"), waiting("d@e.f")];
  const decided = outcome(refused("rcpt", 450, "busy", [refusedBy("d@e.f", 450, "busy")]), {
    recipients,
    firstDueMs: NOW.steadyMs - POLICY.maxAgeMs,
  });
  assert.deepEqual(decided, {
    kind: "sent",
    code: 250,
    response: "2.1.5 ok",
    recipients: [recipients[0], refusedBy("d@e.f", 450, "busy")],
    mailFromSent: true,
  });
});

test("decide: not worth sending any more becomes an error `expired`", () => {
  const decided = outcome(refused("dot", 451, "later"), { expiresMs: NOW.wallMs });
  assert.equal(decided.kind === "error" && decided.error, "expired");
  assert.equal(outcome(refused("dot", 451, "later"), { expiresMs: NOW.wallMs + 1 }).kind, "deferred");
  assert.equal(outcome(accepted(took("a@b.c")), { expiresMs: NOW.wallMs - 1 }).kind, "sent");
});

test("decide: a claimed message that has expired ends before it is sent", () => {
  const { recipients } = FACTS;
  assert.equal(expiredBeforeSending({ expiresMs: null, recipients }, NOW), null);
  assert.equal(expiredBeforeSending({ expiresMs: NOW.wallMs + 1, recipients }, NOW), null);
  assert.deepEqual(expiredBeforeSending({ expiresMs: NOW.wallMs, recipients }, NOW), {
    kind: "error",
    error: "expired",
    recipients: [{ address: "a@b.c", outcome: "refused", response: "expired" }],
    mailFromSent: false,
  });
});

test("decide: a fault of the account holds it, and ends a message that has waited behind such too long", () => {
  const reply: Reply = { kind: "unreachable", stage: "dns", reason: "no such host" };
  const young = outcome(reply, { firstDueMs: NOW.steadyMs - POLICY.maxAgeMs + 1 });
  assert.deepEqual(young, { kind: "held", reason: "no such host", mailFromSent: false, throttled: false, end: null });
  const old = outcome(reply, { firstDueMs: NOW.steadyMs - POLICY.maxAgeMs });
  assert.equal(old.kind === "held" && old.end?.kind === "error" && old.end.error, "expired: no such host");
  const unwanted = outcome(reply, { expiresMs: NOW.wallMs });
  assert.equal(unwanted.kind === "held" && unwanted.end?.kind === "error" && unwanted.end.error, "expired");
});

test("decide: long and many-lined replies are cut before they are kept", () => {
  const response = `5.6.0 one\r\ntwo ${"x".repeat(1e6)}`;
  const decided = outcome(refused("dot", 554, response, [refusedBy("d@e.f", 550, response)]));
  assert.ok(decided.kind === "error");
  assert.ok(JSON.stringify(decided).length < 3000);
  assert.match(decided.error, /^554 5\.6\.0 one two x+$/);
});

test("decide: a greeting that says too many connections slows the account, without its words", () => {
  const reply = (code: number, response: string): Reply => ({
    kind: "unreachable",
    stage: "greeting",
    reason: "does not greet as an SMTP server",
    greeting: { code, response },
  });
  const slowed = outcome(reply(421, "4.7.0"));
  assert.ok(slowed.kind === "held" && slowed.throttled);
  assert.equal(slowed.reason, "does not greet as an SMTP server");
  const held = outcome(reply(554, "5.7.1"));
  assert.ok(held.kind === "held" && !held.throttled);
});

test("decide: the operator's rows count at every stage, for messages and recipients alike", () => {
  const meaningOf = meanings([
    { code: 554, text: "try later", meaning: "unknown" },
    { code: 451, text: "virus", meaning: "message" },
    { code: 450, text: "no such user", meaning: "recipient" },
  ]);
  assert.equal(outcome(refused("dot", 554, "try later"), {}, { meaningOf }).kind, "deferred");
  assert.equal(outcome(refused("dot", 451, "a virus"), {}, { meaningOf }).kind, "error");
  const gone: Recipient = { address: "a@b.c", outcome: "waiting", code: 450, response: "no such user" };
  const decided = outcome(refused("rcpt", 450, "no such user", [gone]), {}, { meaningOf });
  assert.equal(decided.kind, "error");
});

test("decide: an ambiguous end of a message that had reached somebody is told as ambiguous", () => {
  const recipients = [took("a@b.c"), waiting("d@e.f")];
  const decided = outcome({ kind: "ambiguous", reason: "cut" }, { recipients, onAmbiguous: "fail" });
  assert.ok(decided.kind === "sent" && decided.ambiguous);
});
