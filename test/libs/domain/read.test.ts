import assert from "node:assert/strict";
import { test } from "node:test";
import { oneLine, quote } from "@async-mail/domain/read";

test("quote: nothing of what a client wrote can act on a terminal or a log", () => {
  assert.equal(
    quote('a "b" \r\n\0\x7f\x85\u2028\u202e\u2066 日本'),
    '"a \\"b\\" \\r\\n\\u0000\\u007f\\u0085\\u2028\\u202e\\u2066 日本"',
  );
  assert.equal(quote("x".repeat(200)), `"${"x".repeat(99)}…"`);
});

test("oneLine: whatever a reader may take for the end of a line is a space", () => {
  assert.equal(oneLine("a\r\nb\rc\nd\0e\vf\fg\x1ch\x85i\u2028j\u2029k"), "a b c d e f g h i j k");
});
