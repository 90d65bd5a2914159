import assert from "node:assert/strict";
import { test } from "node:test";
import type { SmtpStage } from "@async-mail/domain/outcome";
import { MEANINGS, meanings, type ReplyMeaning } from "@async-mail/domain/reply-meaning";

const CASES: [stage: SmtpStage, code: number, response: string, meaning: ReplyMeaning][] = [
  ["auth", 535, "5.7.8 Username and Password not accepted", "account"],
  ["greeting", 554, "No SMTP service here", "account"],
  ["auth", 432, "4.3.2 Concurrent connections limit exceeded", "throttle"],
  ["auth", 550, "5.1.1 whatever it says, nothing was said of a message yet", "account"],
  ["mail", 454, "4.7.0 Too many login attempts", "account"],
  ["mail", 454, "454 4.7.0 Too many login attempts", "account"],
  ["mail", 454, "454-4.7.0 Too many login attempts", "account"],
  ["mail", 454, "4.7.1 something else", "unknown"],
  ["data", 454, "Throttling failure: Daily message quota exceeded.", "account"],
  ["data", 454, "Throttling failure: Maximum sending rate exceeded.", "throttle"],
  ["rcpt", 550, "5.4.5 Daily user sending limit exceeded", "account"],
  ["rcpt", 550, "5.4.50 not that", "recipient"],
  ["rcpt", 550, "5.7.1 Daily SMTP relay limit exceeded for customer", "account"],
  ["rcpt", 450, "4.2.1 Peak SMTP relay limit exceeded for customer", "throttle"],
  ["rcpt", 450, "4.2.1 The user you try to contact receives mail too quickly", "unknown"],
  ["mail", 432, "4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", "throttle"],
  ["dot", 554, "5.2.0 submission quota exceeded", "account"],
  ["dot", 554, "5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied", "message"],
  ["rcpt", 552, "5.5.3 Too many recipients", "unknown"],
  ["rcpt", 552, "too many recipients", "unknown"],
  ["dot", 554, "5.2.252 SendAsDenied; not allowed to send as other", "message"],
  ["mail", 550, "5.7.60 Client does not have permissions to send as this sender", "message"],
  ["dot", 550, "5.1.8 Access denied, bad outbound sender", "account"],
  ["rcpt", 550, "5.1.90 Your message can't be sent: daily limit for recipients", "account"],
  ["mail", 550, "5.7.705 Access denied, tenant has exceeded threshold", "account"],
  ["mail", 451, "4.7.500 Server busy. Please try again later", "throttle"],
  ["mail", 421, "4.3.2 The maximum number of concurrent connections has exceeded a limit", "throttle"],
  ["mail", 421, "4.7.0 Try again later, closing connection", "throttle"],
  ["dot", 554, "Message rejected: Sending paused for this account", "account"],
  ["mail", 450, "4.7.1 Error: too much mail from 192.0.2.1", "throttle"],
  ["mail", 550, "5.7.30 Basic authentication is not supported", "account"],
  ["mail", 550, "5.7.3 not that", "message"],
  ["mail", 530, "Must issue a STARTTLS command first", "account"],
  ["rcpt", 550, "5.1.1 no such user", "recipient"],
  ["dot", 550, "5.1.1 no such user", "recipient"],
  ["mail", 553, "5.1.8 sender's domain does not exist", "message"],
  ["rcpt", 552, "5.2.2 mailbox full", "recipient"],
  ["rcpt", 552, "5.2.3 too big for this mailbox", "message"],
  ["mail", 552, "size exceeds the maximum", "message"],
  ["mail", 552, "5.3.4 message too big", "message"],
  ["dot", 554, "5.6.0 malformed", "message"],
  ["rcpt", 550, "no", "recipient"],
  ["mail", 550, "no", "message"],
  ["dot", 571, "no", "message"],
  ["rcpt", 450, "4.2.0 greylisted", "unknown"],
  ["rcpt", 450, "5.1.1 contradicts itself", "unknown"],
  ["dot", 421, "closing", "unknown"],
  ["dot", 0, "gibberish", "unknown"],
];

for (const [stage, code, response, meaning] of CASES) {
  test(`reply: ${code} ${response} at ${stage} is about the ${meaning}`, () => {
    assert.equal(meanings()(stage, code, response), meaning);
  });
}

test("reply: every row says where it comes from, and is reached by what it describes", () => {
  for (const row of MEANINGS) {
    assert.ok(row.source.length > 10);
    const permanent = row.enhanced?.startsWith("5") ?? true;
    const response = `${row.enhanced?.replace(/\.$/, ".99") ?? ""} ${row.text?.toUpperCase() ?? ""}`.trim();
    const own = MEANINGS.filter((one) => one !== row);
    const without = meanings(own.map((one) => ({ ...one, text: `${one.text ?? ""} never said` })));
    assert.equal(without("mail", row.code ?? (permanent ? 550 : 450), response), row.meaning, row.source);
  }
});

test("reply: the operator's rows come first, text in any case", () => {
  const meaningOf = meanings([
    { code: 550, enhanced: "5.1.1", meaning: "account" },
    { text: "Slow Down", meaning: "throttle" },
    { enhanced: "4.2.", meaning: "recipient" },
  ]);
  assert.equal(meaningOf("rcpt", 550, "5.1.1 no such user"), "account");
  assert.equal(meaningOf("rcpt", 550, "5.1.2 no such host"), "recipient");
  assert.equal(meaningOf("dot", 451, "please SLOW DOWN"), "throttle");
  assert.equal(meaningOf("rcpt", 450, "4.2.0 greylisted"), "recipient");
});
