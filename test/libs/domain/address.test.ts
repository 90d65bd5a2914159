import assert from "node:assert/strict";
import { test } from "node:test";
import { mailboxKey, needsSmtpUtf8, parseMailbox, parseMailboxes } from "@async-mail/domain/address";
import { quote } from "@async-mail/domain/read";

const ACCEPTED: [text: string | string[], mailboxes: [name: string, address: string][]][] = [
  ["a@b.c", [["", "a@b.c"]]],
  ["  a@b.c ", [["", "a@b.c"]]],
  ["<a@b.c>", [["", "a@b.c"]]],
  ["root@localhost", [["", "root@localhost"]]],
  ["user+tag!#$%&'*+/=?^_`{|}~-@sub.example.com", [["", "user+tag!#$%&'*+/=?^_`{|}~-@sub.example.com"]]],
  [
    "a@b.c, d@e.f",
    [
      ["", "a@b.c"],
      ["", "d@e.f"],
    ],
  ],
  [
    "a@b.c,, ,d@e.f,",
    [
      ["", "a@b.c"],
      ["", "d@e.f"],
    ],
  ],
  [
    ["a@b.c, d@e.f", "g@h.i"],
    [
      ["", "a@b.c"],
      ["", "d@e.f"],
      ["", "g@h.i"],
    ],
  ],
  ["Mario Rossi <m@x.it>", [["Mario Rossi", "m@x.it"]]],
  ["Name<a@b.c>", [["Name", "a@b.c"]]],
  ["Mario   Rossi\t<m@x.it>", [["Mario Rossi", "m@x.it"]]],
  [
    '"Rossi, Mario" <m@x.it>, a@b.c',
    [
      ["Rossi, Mario", "m@x.it"],
      ["", "a@b.c"],
    ],
  ],
  ['"A \\"B\\" \\\\ C" <a@b.c>', [['A "B" \\ C', "a@b.c"]]],
  ['Foo "Bar: <x>" <a@b.c>', [["Foo Bar: <x>", "a@b.c"]]],
  ["Müller <m@x.de>", [["Müller", "m@x.de"]]],
  ["日本 太郎 <a@b.c>", [["日本 太郎", "a@b.c"]]],
  ["John Q. Public [Sales] <j@x.y>", [["John Q. Public [Sales]", "j@x.y"]]],
  ["O'Neil & Sons (UK) Ltd. <o@x.com>", [["O'Neil & Sons (UK) Ltd.", "o@x.com"]]],
  ["info@x.com <mail@x.com>", [["info@x.com", "mail@x.com"]]],
  ["a@b.c (Ann, at work)", [["Ann, at work", "a@b.c"]]],
  ["a@bücher.de", [["", "a@xn--bcher-kva.de"]]],
  ["Café <a@中国.example>", [["Café", "a@xn--fiqs8s.example"]]],
  ["a@中国。example", [["", "a@xn--fiqs8s.example"]]],
  ["jörg.müller@bücher.de", [["", "jörg.müller@xn--bcher-kva.de"]]],
  [
    "用户+1@example.com, Δοκιμή <δοκιμή@παράδειγμα.example>",
    [
      ["", "用户+1@example.com"],
      ["Δοκιμή", "δοκιμή@xn--hxajbheg2az3al.example"],
    ],
  ],
  ["jo\u0308rg@x.de", [["", "jo\u0308rg@x.de"]]],
  ['"john doe"@example.com', [["", '"john doe"@example.com']]],
  ['John <"john doe"@example.com>', [["John", '"john doe"@example.com']]],
  [
    '"Doe, J" <"a,b;c:d (e) [f]"@x.y>, g@h.i',
    [
      ["Doe, J", '"a,b;c:d (e) [f]"@x.y'],
      ["", "g@h.i"],
    ],
  ],
  ['"john.doe"@example.com', [["", "john.doe@example.com"]]],
  ['"john doe"@example.com (at work)', [["at work", '"john doe"@example.com']]],
  [`${"x".repeat(80)}@example.com`, [["", `${"x".repeat(80)}@example.com`]]],
  ["", []],
  [" , ,", []],
  [[], []],
];

for (const [text, mailboxes] of ACCEPTED) {
  test(`address: ${JSON.stringify(text)} is read`, () => {
    assert.deepEqual(parseMailboxes(text), {
      ok: true,
      value: mailboxes.map(([name, address]) => ({ name, address })),
    });
  });
}

const REFUSED: [text: string, fault: string][] = [
  ["x y", '"x y" is not an address'],
  ["a@b.c, x y", '"x y" is not an address'],
  ["a@b.c d@e.f", '"a@b.c d@e.f" is not an address'],
  ["a@b.c;d@e.f", '"a@b.c;d@e.f" is not an address, separate addresses by commas'],
  ["A <a@b.c>; B <d@e.f>", '"A <a@b.c>; B <d@e.f>" is not an address, separate addresses by commas'],
  ["<a@b.c> <d@e.f>", '"<a@b.c> <d@e.f>" is not an address'],
  ["<a@b.c> x", '"<a@b.c> x" is not an address'],
  ["Rossi, Mario <m@x.it>", '"Rossi" is not an address'],
  ["@b.c", '"@b.c" is not an address'],
  ["a@", '"a@" is not an address'],
  ["<>", '"<>" is not an address'],
  ["a..b@c.d", '"a..b@c.d" is not an address'],
  [".a@c.d", '".a@c.d" is not an address'],
  ["a@b..c", '"a@b..c" is not an address'],
  ["a@-b.c", '"a@-b.c" is not an address'],
  ["a@[192.0.2.1]", '"a@[192.0.2.1]" names a host by its number, a domain is wanted after the @'],
  ["a@[IPv6:::1]", '"a@[IPv6:::1]" names a host by its number, a domain is wanted after the @'],
  ["a(x)b@c.d", '"a(x)b@c.d" is not an address'],
  ["=?utf-8?Q?a=40evil.example=3E?=@b.c", '"=?utf-8?Q?a=40evil.example=3E?=@b.c" is not an address'],
  ...["ü\x85x@y.z", "a\x85@y.z", "a@y.z\x85", "a@y\u2028.z", "＝？utf-8?Q?=0A?=@y.z"].map(notAnAddress),
  ["x@y@z.it", '"x@y@z.it" is not an address'],
  ["a @ b.c", '"a @ b.c" is not an address'],
  ["(((a@b.c", '"(((a@b.c" is not an address'],
  ['"unclosed, <a@b.c>', '"\\"unclosed, <a@b.c>" is not an address'],
  ['"x@evil.com y"@z.it', '"\\"x@evil.com y\\"@z.it" has more in its quotes than is supported there'],
  ['"a\\"b"@z.it', '"\\"a\\\\\\"b\\"@z.it" has more in its quotes than is supported there'],
  ['<"a>b"@z.it>', '"<\\"a>b\\"@z.it>" is not an address'],
  ['""@z.it', '"\\"\\"@z.it" has more in its quotes than is supported there'],
  ['x "y"@z.it', '"x \\"y\\"@z.it" is not an address'],
  ["Friends: a@b.c, d@e.f;", '"Friends: a@b.c, d@e.f;" is a group, name its members instead'],
  ["undisclosed-recipients:;", '"undisclosed-recipients:;" is a group, name its members instead'],
  // Spaces, controls, turns of direction, what is not assigned, halves of a character; wide forms of marks.
  ...["ü\u00a0x@y.z", "ü\u2028x@y.z", "ü\u202ex@y.z", "ü\u200b@y.z", "ü\u0378@y.z", "ü\ue000@y.z"].map(notAnAddress),
  ...["ü\ud800@y.z", "ü＠evil.example@y.z", "ü，b@y.z", "ü…b@y.z", "ü＜b@y.z", ".ü@y.z", "ü b@y.z"].map(notAnAddress),
  // Node's domainToASCII ends a host at these.
  ...["a@bü/c", "a@bü?c", "a@bü#c", "a@bü%2ec", "a@bü\u202e.de", "a@bü＠c.de"].map(notAnAddress),
  ["a@b.c\r\nRCPT TO:<z@x>", '"a@b.c\\r\\nRCPT TO:<z@x>" holds a line break or another control character'],
  ["a@b.c\n", '"a@b.c\\n" holds a line break or another control character'],
  ["a\0@b.c", '"a\\u0000@b.c" holds a line break or another control character'],
];

function notAnAddress(text: string): [string, string] {
  return [text, `${quote(text)} is not an address`];
}

for (const [text, fault] of REFUSED) {
  test(`address: ${JSON.stringify(text)} is refused`, () => {
    assert.deepEqual(parseMailboxes(text), { ok: false, fault });
  });
}

test("address: longer than a path of RFC 5321 is refused", () => {
  const label = "a".repeat(60);
  const domain = `${label}.${label}.${label}`;
  assert.ok(parseMailboxes(`${"x".repeat(254 - domain.length - 1)}@${domain}`).ok);
  assert.equal(parseMailboxes(`${"x".repeat(255 - domain.length - 1)}@${domain}`).ok, false);
});

test("address: a hostile text costs no more than its length", () => {
  const hostile: ((length: number) => string)[] = [
    (n) => "(".repeat(n),
    (n) => '"\\'.repeat(n / 2),
    (n) => "<".repeat(n),
    (n) => "a,".repeat(n / 2),
    (n) => `${"a ".repeat(n / 2)}<a@b.c>`,
  ];
  for (const make of hostile) {
    // Eight times the length: a cost that grows with its square would be 64 times.
    const [short, long] = [cost(make(25_000)), cost(make(200_000))];
    assert.ok(long < 32 * Math.max(short, 1), `${make(10)}… took ${short} and ${long} ms`);
  }
});

/** The best of some, in ms: others use this machine too. */
function cost(text: string): number {
  const times = Array.from({ length: 5 }, () => {
    const started = performance.now();
    assert.equal(parseMailboxes(text).ok, false);
    return performance.now() - started;
  });
  return Math.min(...times);
}

test("address: what some reader takes for the end of a line is a space in a name", () => {
  assert.deepEqual(parseMailboxes("A\x85B\u2028C <m@x.de>, m@x.de (D\u2029E)"), {
    ok: true,
    value: [
      { name: "A B C", address: "m@x.de" },
      { name: "D E", address: "m@x.de" },
    ],
  });
});

test("address: exactly one where one is wanted", () => {
  assert.deepEqual(parseMailbox("A <a@b.c>"), { ok: true, value: { name: "A", address: "a@b.c" } });
  assert.deepEqual(parseMailbox("a@b.c, d@e.f"), { ok: false, fault: '"a@b.c, d@e.f" is more than one address' });
});

test("address: two spellings of a domain are one mailbox, two of a local part are not", () => {
  assert.equal(mailboxKey("a@B.C"), mailboxKey("a@b.c"));
  assert.notEqual(mailboxKey("A@b.c"), mailboxKey("a@b.c"));
  assert.equal(mailboxKey("jo\u0308rg@b.c"), mailboxKey("j\u00f6rg@b.c"));
});

test("address: letters outside ASCII before the @ need SMTPUTF8, those after it do not", () => {
  const parsed = parseMailboxes("a@b.c, ü@b.c, a@bücher.de");
  assert.ok(parsed.ok);
  assert.deepEqual(
    parsed.value.map(({ address }) => needsSmtpUtf8(address)),
    [false, true, false],
  );
});

test("address: the longest path is counted in octets", () => {
  assert.ok(parseMailboxes(`${"ü".repeat(120)}@x.y`).ok);
  assert.equal(parseMailboxes(`${"ü".repeat(130)}@x.y`).ok, false);
});
