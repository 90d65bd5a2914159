import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { asLines, isMessage } from "@async-mail/dispatcher/attachments/message-lines";

describe("an attachment that is a message", () => {
  it("is one by its type, else by its name", () => {
    assert.equal(isMessage({ filename: "a.eml", contentType: null }), true);
    assert.equal(isMessage({ filename: "a.pdf", contentType: "Message/RFC822; name=x" }), true);
    assert.equal(isMessage({ filename: "a.eml", contentType: "application/octet-stream" }), false);
    assert.equal(isMessage({ filename: "a.pdf", contentType: null }), false);
  });

  it("travels as it is when it is lines of ASCII, with CRLF at their ends", () => {
    const cases: [string, string | null][] = [
      ["Subject: x\r\n\r\ntext\r\n", "Subject: x\r\n\r\ntext\r\n"],
      ["Subject: x\n\ntext", "Subject: x\r\n\r\ntext"],
      ["mixed\r\nends\n", "mixed\r\nends\r\n"],
      ["", ""],
      ["x".repeat(998), "x".repeat(998)],
      ["x".repeat(999), null],
      ["Subject: ü\r\n", null],
      ["nul\0", null],
      ["lone\rreturn", null],
      ["at the end\r", null],
    ];
    for (const [text, expected] of cases)
      assert.equal(asLines(Buffer.from(text))?.toString() ?? null, expected, JSON.stringify(text.slice(0, 30)));
  });
});
