import assert from "node:assert/strict";
import { test } from "node:test";
import { safeFileName } from "@async-mail/domain/file-name";

const NAMES: [given: string, shown: string][] = [
  ["report.pdf", "report.pdf"],
  ["日本 — Grüße 😀.txt", "日本 — Grüße 😀.txt"],
  ["../../etc/passwd", "passwd"],
  ["C:\\Windows\\x.exe", "x.exe"],
  ["a/b\\c/d.txt", "d.txt"],
  ["..", ""],
  ["../..", ""],
  [".", ""],
  ["", ""],
  ["dir/", ""],
  [".htaccess", ".htaccess"],
  ["a\r\nBcc: x@y.z\0.txt", "a Bcc: x@y.z .txt"],
  ["a\x85b\u2028c\u2029d.txt", "a b c d.txt"],
  [`${"a".repeat(20_000)}${" ".repeat(20_000)}.pdf`, `${"a".repeat(251)}.pdf`],
  ["invoice\u202efdp.exe", "invoicefdp.exe"],
  ["\u2066a\u2069.txt", "a.txt"],
  ["  a   b .txt ", "a b .txt"],
  ["a\ud800.txt", "a\ufffd.txt"],
  [`${"a".repeat(300)}.txt`, `${"a".repeat(251)}.txt`],
  [`${"ü".repeat(300)}.txt`, `${"ü".repeat(125)}.txt`],
  [`${"😀".repeat(100)}`, "😀".repeat(63)],
  [`a.${"b".repeat(300)}`, `a.${"b".repeat(253)}`],
];

for (const [given, shown] of NAMES) {
  test(`file name: ${JSON.stringify(given).slice(0, 40)} goes out as ${JSON.stringify(shown).slice(0, 40)}`, () => {
    assert.equal(safeFileName(given), shown);
    assert.ok(Buffer.byteLength(safeFileName(given)) <= 255);
  });
}
