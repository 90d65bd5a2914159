import assert from "node:assert/strict";
import { test } from "node:test";
import type { SmtpStage } from "@async-mail/domain/outcome";
import { MEANINGS, meaningOf, type ReplyMeaning } from "@async-mail/domain/reply-meaning";

const CASES: [stage: SmtpStage, code: number, response: string, meaning: ReplyMeaning][] = [
  ["auth", 535, "5.7.8 Username and Password not accepted", "account"],
  ["greeting", 554, "No SMTP service here", "account"],
  ["mail", 454, "4.7.0 Too many login attempts", "account"],
  ["mail", 454, "454 4.7.0 Too many login attempts", "account"],
  ["mail", 454, "454-4.7.0 Too many login attempts", "account"],
  ["mail", 454, "4.7.1 something else", "unknown"],
  ["data", 454, "Throttling failure: Daily message quota exceeded.", "throttle"],
  ["rcpt", 550, "5.4.5 Daily user sending limit exceeded", "account"],
  ["rcpt", 550, "5.4.50 not that", "recipient"],
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
    assert.equal(meaningOf(stage, code, response), meaning);
  });
}

test("reply: every row says where it comes from and can be reached", () => {
  for (const row of MEANINGS) {
    assert.ok(row.source.length > 10);
    const response = `${row.enhanced?.replace(/\.$/, ".9") ?? ""} ${row.text ? "Throttling failure" : ""}`.trim();
    const found = MEANINGS.find((one) => one === row)!;
    assert.equal(meaningOf("mail", row.code ?? 550, response), found.meaning, row.source);
  }
});
