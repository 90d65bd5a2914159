import assert from "node:assert/strict";
import { test } from "node:test";
import { readListUnsubscribe, unsubscribeHeaders } from "@async-mail/domain/list-unsubscribe";

type Given = Parameters<typeof readListUnsubscribe>[0];

const ONE_CLICK = "List-Unsubscribe=One-Click";

const ACCEPTED: [given: Given, header: string, post?: string][] = [
  [{ url: "https://x.y/u?a=1&b=2,3" }, "<https://x.y/u?a=1&b=2,3>", ONE_CLICK],
  [{ url: "https://x.y/u", one_click: true }, "<https://x.y/u>", ONE_CLICK],
  [{ url: "https://x.y/u", one_click: false }, "<https://x.y/u>"],
  [{ url: " HTTP://x.y/u ", one_click: null }, "<HTTP://x.y/u>"],
  [{ mailto: "stop@x.y" }, "<mailto:stop@x.y>"],
  [{ mailto: "a&b@bücher.de", url: null }, "<mailto:a%26b@xn--bcher-kva.de>"],
  [{ mailto: "mailto:stop@x.y?subject=stop%20it&body=now" }, "<mailto:stop@x.y?subject=stop%20it&body=now>"],
  [{ mailto: "MAILTO:ü@x.y".replace("ü", "%C3%BC"), url: "" }, "<mailto:%C3%BC@x.y>"],
  [{ url: "https://x.y/u", mailto: "stop@x.y" }, "<https://x.y/u>, <mailto:stop@x.y>", ONE_CLICK],
];

for (const [given, header, post] of ACCEPTED) {
  test(`list_unsubscribe: ${JSON.stringify(given)} is ${header}`, () => {
    const read = readListUnsubscribe(given);
    assert.ok(read.ok, read.ok ? "" : read.fault);
    const wanted = [["List-Unsubscribe", header], ...(post === undefined ? [] : [["List-Unsubscribe-Post", post]])];
    assert.deepEqual(unsubscribeHeaders(read.value), wanted);
  });
}

const REFUSED: [given: Given, fault: string][] = [
  [{}, "list_unsubscribe has neither url nor mailto"],
  [{ url: "", mailto: null }, "list_unsubscribe has neither url nor mailto"],
  [{ url: "ftp://x.y" }, 'list_unsubscribe.url: "ftp://x.y" is not an http or https address'],
  [{ url: "x.y/u" }, 'list_unsubscribe.url: "x.y/u" is not an http or https address'],
  ...[" ", "<", ">", '"', "\\", "\r\n", "é"].map((mark): [Given, string] => [
    { url: `https://x.y/${mark}b` },
    `list_unsubscribe.url: ${JSON.stringify(`https://x.y/${mark}b`)} has characters that a URI may have only percent-encoded`,
  ]),
  ...["https:x@y", "https:/x/y", "https:\\\\x/y", "https:///x/y", "https://?x"].map((url): [Given, string] => [
    { url },
    `list_unsubscribe.url: ${JSON.stringify(url)} is not an http or https address`,
  ]),
  [
    { url: "https://e.com/a=?utf-8?Q?=0D=0AX-Evil:_1?=" },
    'list_unsubscribe.url: "https://e.com/a=?utf-8?Q?=0D=0AX-Evil:_1?=" has =? as an encoded word does, write it percent-encoded (=%3F)',
  ],
  [
    { mailto: "mailto:a@x.y?subject==?utf-8?Q?=0A?=" },
    'list_unsubscribe.mailto: "mailto:a@x.y?subject==?utf-8?Q?=0A?=" has =? as an encoded word does, write it percent-encoded (=%3F)',
  ],
  [{ mailto: ",".repeat(901) }, "list_unsubscribe.mailto: longer than 900 characters"],
  [{ url: `https://x.y/${"u".repeat(900)}` }, "list_unsubscribe.url: longer than 900 characters"],
  [{ mailto: "x y" }, 'list_unsubscribe.mailto: "x y" is not an address'],
  [{ mailto: "Stop <stop@x.y>" }, 'list_unsubscribe.mailto: "Stop <stop@x.y>" is not an address'],
  [{ mailto: "a@x.y, b@x.y" }, 'list_unsubscribe.mailto: "a@x.y, b@x.y" is not an address'],
  [{ mailto: "mailto:x" }, 'list_unsubscribe.mailto: "mailto:x" is not of the form mailto:…@…'],
  [{ mailto: "mailto:a@x.y,b@x.y" }, 'list_unsubscribe.mailto: "mailto:a@x.y,b@x.y" is not of the form mailto:…@…'],
  [
    { mailto: "mailto:a%0d%0aBcc:b@x.y" },
    'list_unsubscribe.mailto: "mailto:a%0d%0aBcc:b@x.y" is not of the form mailto:…@…',
  ],
  [{ mailto: "mailto:a@x.y?cc=b@x.y" }, 'list_unsubscribe.mailto: "cc" is not allowed, only subject and body are'],
  [{ mailto: "mailto:a@x.y?subject=%0d%0a" }, 'list_unsubscribe.mailto: "%0d%0a" is not one line of text'],
  [{ mailto: "mailto:a@x.y?subject=%ff" }, 'list_unsubscribe.mailto: "%ff" is not one line of text'],
  ...[{ url: "http://x.y/u" }, { mailto: "stop@x.y" }].map((without): [Given, string] => [
    { ...without, one_click: true },
    "list_unsubscribe.one_click: true needs a url that begins with https (RFC 8058)",
  ]),
];

for (const [given, fault] of REFUSED) {
  test(`list_unsubscribe: ${JSON.stringify(given).slice(0, 80)} is refused`, () => {
    assert.deepEqual(readListUnsubscribe(given), { ok: false, fault });
  });
}
