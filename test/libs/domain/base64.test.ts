import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeBase64 } from "@async-mail/domain/base64";

const DECODED: [text: string, bytes: string][] = [
  ["", ""],
  ["YQ==", "a"],
  ["YQ", "a"],
  ["YQ=", "a"],
  ["YWI=", "ab"],
  ["YWI", "ab"],
  ["YWJj", "abc"],
  ["Y W\r\nJ\tj", "abc"],
  ["Y Q\n= =\n", "a"],
  ["+/+/", "\xfb\xff\xbf"],
];

for (const [text, bytes] of DECODED) {
  test(`base64: ${JSON.stringify(text)} is decoded`, () => {
    assert.equal(Buffer.from(decodeBase64(text)!).toString("latin1"), bytes);
  });
}

const FOREIGN = [
  "YWJjZ",
  "YQ===",
  "YW=J",
  "YQ=Q",
  "YWJj=",
  "YWJj====",
  "====",
  "=",
  "YW-j",
  "YW_j",
  "YW.JjZA=",
  "é",
  "YWJ\u0141",
  "\u00a0YWJj",
  "YWJj\0",
];

for (const text of FOREIGN) {
  test(`base64: ${JSON.stringify(text)} is refused`, () => assert.equal(decodeBase64(text), null));
}

test("base64: every length and every foreign character in every place", () => {
  for (let length = 0; length < 40; length++) {
    const bytes = Buffer.alloc(length, 0xa5);
    const text = bytes.toString("base64");
    assert.deepEqual(Buffer.from(decodeBase64(text)!), bytes);
    for (let place = 0; place <= text.length; place++) {
      const foreign = `${text.slice(0, place)}!${text.slice(place)}`;
      assert.equal(decodeBase64(foreign), null, foreign);
    }
  }
});
