import assert from "node:assert/strict";
import { test } from "node:test";
import { maskedUrl } from "@async-mail/domain/attachment-secrets";

const SHOWN: [given: string, shown: string][] = [
  ["https://files.example.com/plain.pdf", "https://files.example.com/plain.pdf"],
  ["http://host:8080/a%20b", "http://host:8080/a%20b"],
  ["http://usr:PW@host/b?k=S#F", "http://***@host/b?***"],
  ["http://usr@host", "http://***@host/"],
  ["http://:PW@host/", "http://***@host/"],
  ["http:\\\\usr:PW@host\\b?k=S", "http://***@host/b?***"],
  ["http:\\/usr:PW@host/b#F", "http://***@host/b?***"],
  ["http:/usr:PW@host/b", "http://***@host/b"],
  ["http:usr:PW@host/b", "http://***@host/b"],
  ["http:///usr:PW@host/b", "http://***@host/b"],
  ["http:/\\/\\usr:PW@host/b", "http://***@host/b"],
  ["HTTPS:usr:PW@HOST/b", "https://***@host/b"],
  [" \t http://usr:PW@host/b ", "http://***@host/b"],
  ["ht\ttp:\r\n/\t/us\nr:PW@ho\nst/b\n?k=S", "http://***@host/b?***"],
  ["http://usr:P W@host/b?k= S", "http://***@host/b?***"],
  ["http://usr:P@W@host/b", "http://***@host/b"],
  ["http://u%40x:PW@host/?", "http://***@host/"],
  ["http://usr:PW@", "***"],
  ["http://usr:PW@ho st/", "***"],
  ["//usr:PW@host/", "***"],
  ["mailto:usr:PW@host", "***"],
];

for (const [given, shown] of SHOWN) {
  test(`record: the URL ${JSON.stringify(given)} is shown as ${shown}`, () => assert.equal(maskedUrl(given), shown));
}
