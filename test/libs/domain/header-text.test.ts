import assert from "node:assert/strict";
import { test } from "node:test";
import { toDraft } from "@async-mail/domain/draft";
import { isEncodedWord } from "@async-mail/domain/encoded-word";
import { headerText } from "@async-mail/domain/header-text";
import type { Payload } from "@async-mail/domain/message";
import { simpleParser } from "mailparser";

const PAYLOAD: Payload = { id: "m1", from: "a@b.c", to: "d@e.f", subject: "Hello" };

function written(fields: Partial<Payload>): string {
  return headerText(toDraft({ ...PAYLOAD, ...fields }));
}

/** The lines of one field, without the name. */
function field(name: string, fields: Partial<Payload>): string {
  const text = written(fields);
  const start = text.indexOf(`${name}:`);
  const end = /\r\n(?![ \t])/.exec(text.slice(start))!.index;
  return text.slice(start + name.length + 1, start + end);
}

test("header text: every field in its place", () => {
  const text = written({
    from: "Ann <a@b.c>",
    cc: "g@h.i",
    bcc: "hidden@j.k",
    reply_to: ["r@b.c", "s@b.c"],
    headers: { "x-own": "1", "X-OWN": "2", References: "<a@b>  <c@d>" },
  });
  const lines = ["From: Ann <a@b.c>", "To: d@e.f", "Cc: g@h.i", "Reply-To: r@b.c, s@b.c", "Subject: Hello"];
  assert.equal(text, [...lines, "x-own: 1", "X-OWN: 2", "References: <a@b>  <c@d>", ""].join("\r\n"));
});

const NAMES: [given: string, written: string][] = [
  ["Ann Lee <a@b.c>", " Ann Lee <a@b.c>"],
  ['"Lee, Ann" <a@b.c>', ' "Lee, Ann" <a@b.c>'],
  ['"A \\"B\\" \\\\ C" <a@b.c>', ' "A \\"B\\" \\\\ C" <a@b.c>'],
  ["Jörg <a@b.c>", " =?UTF-8?Q?J=C3=B6rg?= <a@b.c>"],
  ["日本 <a@b.c>", " =?UTF-8?B?5pel5pys?= <a@b.c>"],
  // As Python's formataddr writes them.
  ["=?utf-8?q?J=C3=B6rg?= <a@b.c>", " =?utf-8?q?J=C3=B6rg?= <a@b.c>"],
  ['"=?utf-8?Q?a=40b?=, c" <a@b.c>', " =?UTF-8?Q?=3D=3Futf-8=3FQ=3Fa=3D40b=3F=3D=2C_c?= <a@b.c>"],
  ['"=?utf-8?Q?=0D=0ABcc:x?=" <a@b.c>', " =?UTF-8?Q?=3D=3Futf-8=3FQ=3F=3D0D=3D0ABcc=3Ax=3F=3D?= <a@b.c>"],
  ['"john doe"@b.c', ' <"john doe"@b.c>'],
  ["ü@bücher.de", " <ü@xn--bcher-kva.de>"],
];

for (const [given, wanted] of NAMES) {
  test(`header text: ${given}`, () => assert.equal(field("From", { from: given }), wanted));
}

const TEXTS: [given: string, written: string][] = [
  ["", ""],
  ["plain  words ", " plain  words"],
  ['"quoted", (and) <marks>', ' "quoted", (and) <marks>'],
  ["from über to zoë end", " from =?UTF-8?Q?=C3=BCber_to_zo=C3=AB?= end"],
  ["=?utf-8?Q?J=C3=B6rg?= own", " =?utf-8?Q?J=C3=B6rg?= own"],
  ["a =?utf-8?Q?b c?= d", " a =?UTF-8?Q?=3D=3Futf-8=3FQ=3Fb?= c?= d"],
  ["=?utf-8?Q?J?= ü", " =?UTF-8?Q?=3D=3Futf-8=3FQ=3FJ=3F=3D_=C3=BC?="],
  ["=?utf-8?Q?=0D=0AX?=", " =?UTF-8?Q?=3D=3Futf-8=3FQ=3F=3D0D=3D0AX=3F=3D?="],
  ["=?utf-8?B?DQpY?=", " =?UTF-8?Q?=3D=3Futf-8=3FB=3FDQpY=3F=3D?="],
  ["=?ISO-2022-JP?B?GyRCJCIbKEI=?=", " =?UTF-8?Q?=3D=3FISO-2022-JP=3FB=3FGyRCJCIbKEI=3D=3F=3D?="],
  ["half \ud800", " half =?UTF-8?B?77+9?="],
];

for (const [given, wanted] of TEXTS) {
  test(`header text: a subject ${JSON.stringify(given)}`, () => {
    assert.equal(field("Subject", { subject: given }), wanted);
    if (given !== "") assert.equal(field("X-A", { headers: { "X-A": given } }), wanted);
  });
}

test("header text: addresses in a client's own headers stay addresses", () => {
  assert.equal(field("Sender", { headers: { Sender: "Jörg <a@b.c>" } }), " =?UTF-8?Q?J=C3=B6rg?= <a@b.c>");
  assert.equal(field("Reply-To", { headers: { "Reply-To": "a@b.c,d@e.f" } }), " a@b.c, d@e.f");
});

test("header text: lines are short, none is longer than 998 octets, and a reader has it all back", async () => {
  const subjects = [
    "x".repeat(5000),
    "日".repeat(2000),
    `${"word ".repeat(500)}end`,
    "😀 ".repeat(300).trim(),
    "é".repeat(999),
  ];
  for (const subject of subjects) {
    const name = [...subject].slice(0, 300).join("").trim();
    const text = written({
      subject,
      to: Array(50).fill(`"${name}" <d@e.f>`),
      headers: { "X-A": `a ${"b".repeat(990)}` },
    });
    for (const line of text.split("\r\n")) assert.ok(line.length <= 998, `${line.length} octets`);
    for (const word of text.match(/=\?\S+/g) ?? []) assert.ok(isEncodedWord(word), word);
    const mail = await simpleParser(`${text}\r\n`);
    assert.equal(mail.subject, subject);
    const [to] = [mail.to ?? []].flat();
    assert.deepEqual(new Set(to?.value.map((one) => one.name)), new Set([name]));
    assert.equal(to?.value.length, 50);
  }
});

test("header text: a long run of spaces costs no more than its length", () => {
  const started = performance.now();
  assert.equal(field("Subject", { subject: `a${" ".repeat(200_000)}` }), " a");
  assert.ok(performance.now() - started < 2000, `${performance.now() - started} ms`);
});

test("header text: long encoded text breaks between characters", () => {
  const words = field("Subject", { subject: "aü日😀".repeat(100) })
    .trim()
    .split(/\r\n /);
  assert.ok(words.length > 5);
  for (const word of words) {
    const decoded = Buffer.from(word.split("?")[3]!, "base64").toString();
    assert.ok(word.length <= 60 && !decoded.includes("\ufffd"), word);
  }
});
