import assert from "node:assert/strict";
import { test } from "node:test";
import { type Message, type ParseContext, parseMessage, parsePriority } from "@async-mail/domain/message";

const NOW_MS = 1_800_000_000_000;
const NOW = NOW_MS / 1000;
const DAY = 86_400;

const context: ParseContext = {
  now: NOW_MS,
  defaultPriority: 2,
  newMessageId: (domain) => `<new@${domain}>`,
  s3Allow: [],
  maxAttachmentBytes: 10_000,
  tenantS3: null,
  endpoint: false,
};

const POSTED = { id: "m1", from: "a@b.c", to: "d@e.f", subject: "Hello" };

function accepted(fields: object): Message & { warnings: string[] } {
  const parsed = parseMessage({ ...POSTED, ...fields }, context);
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.rejection.reason);
  return { ...parsed.message, warnings: parsed.warnings };
}

function reason(fields: object): string {
  const parsed = parseMessage({ ...POSTED, ...fields }, context);
  assert.ok(!parsed.ok, "it was accepted");
  return parsed.rejection.reason;
}

test("message: the least that is accepted", () => {
  const { warnings, bytes, ...message } = accepted({});
  assert.deepEqual(message, {
    id: "m1",
    accountId: null,
    batchCode: null,
    priority: 2,
    deferredMs: null,
    expiresMs: null,
    onAmbiguous: null,
    messageId: "<new@b.c>",
    recipients: ["d@e.f"],
    payload: POSTED,
    contents: [],
  });
  assert.deepEqual(warnings, []);
  assert.ok(bytes > 0);
});

test("message: every field", () => {
  const { payload, ...message } = accepted({
    account_id: "acc",
    to: ["A <d@e.f>", "g@h.i, D@E.F"],
    cc: "d@E.F, j@k.l",
    bcc: ["m@n.o"],
    reply_to: "r@b.c",
    return_path: "bounce@b.c",
    body: "Hi",
    html: "<p>Hi</p>",
    content_type: "plain",
    headers: { "X-Text": "one", "X-Number": 2, "X-Null": null },
    message_id: "own@b.c",
    attachments: [{ filename: "a.txt", content: "YWJj" }, { url: "https://x.y/z.pdf" }],
    priority: "high",
    deferred_ts: NOW + 60,
    expires_ts: NOW + 120.5,
    on_ambiguous: "fail",
  });
  assert.equal(message.accountId, "acc");
  assert.equal(message.priority, 1);
  assert.equal(message.deferredMs, NOW_MS + 60_000);
  assert.equal(message.expiresMs, NOW_MS + 120_500);
  assert.equal(message.onAmbiguous, "fail");
  assert.equal(message.messageId, "<own@b.c>");
  assert.deepEqual(message.recipients, ["d@e.f", "g@h.i", "D@E.F", "j@k.l", "m@n.o"]);
  assert.deepEqual(
    message.contents.map((content) => Buffer.from(content).toString()),
    ["abc"],
  );
  assert.deepEqual(payload.headers, { "X-Text": "one", "X-Number": "2" });
  assert.deepEqual(payload.attachments, [{ filename: "a.txt", size: 3 }, { url: "https://x.y/z.pdf" }]);
  assert.equal(payload.message_id, "<own@b.c>");
  assert.equal(payload.priority, 1);
  assert.deepEqual(message.warnings, []);
});

test("message: null fields are as if absent", () => {
  const nulls = { account_id: null, cc: null, bcc: null, reply_to: null, return_path: null, body: null, html: null };
  const more = { content_type: null, headers: null, message_id: null, attachments: null, priority: null };
  const { payload } = accepted({ ...nulls, ...more, deferred_ts: null, expires_ts: null, on_ambiguous: null });
  assert.deepEqual(payload, POSTED);
});

test("message: empty texts of optional fields are as if absent", () => {
  const { payload, accountId } = accepted({
    account_id: "",
    cc: "",
    bcc: [],
    reply_to: "",
    return_path: "",
    message_id: "",
  });
  assert.deepEqual(payload, POSTED);
  assert.equal(accountId, null);
});

test("message: not an object is an invalid payload", () => {
  for (const raw of [null, undefined, "text", 7, true, [], [POSTED]]) {
    assert.deepEqual(parseMessage(raw, context), { ok: false, rejection: { id: null, reason: "invalid payload" } });
  }
});

test("message: what is missing is named in the order id, from, to, subject", () => {
  const empty = { id: undefined, from: undefined, to: undefined, subject: undefined };
  assert.equal(reason(empty), "missing id");
  assert.equal(reason({ ...empty, id: "m1" }), "missing from");
  assert.equal(reason({ ...empty, id: "m1", from: "x y" }), "missing to");
  assert.equal(reason({ ...empty, id: "m1", from: "x y", to: "x y" }), "missing subject");
  assert.equal(reason({ subject: null }), "missing subject");
  assert.equal(accepted({ subject: "" }).payload.subject, "");
});

test("message: an empty id, from or to is missing", () => {
  for (const blank of [null, "", "  "]) {
    assert.equal(reason({ id: blank }), "missing id");
    assert.equal(reason({ from: blank }), "missing from");
    assert.equal(reason({ to: blank }), "missing to");
  }
  for (const to of [[], [""], [null], ", ,"]) assert.equal(reason({ to }), "missing to");
});

test("message: a rejection carries the id when there is one", () => {
  assert.deepEqual(parseMessage({ id: "x" }, context), { ok: false, rejection: { id: "x", reason: "missing from" } });
  assert.deepEqual(parseMessage({ id: 5 }, context), { ok: false, rejection: { id: null, reason: "missing from" } });
});

const INVALID: [fields: object, reason: string | RegExp][] = [
  [{ id: 7 }, "invalid id: not a string"],
  [{ id: [] }, "invalid id: not a string"],
  [{ from: [] }, "invalid from: not a string"],
  [{ id: "x".repeat(256) }, "invalid id: longer than 255 characters"],
  [{ id: "\ud800" }, "invalid id: not well-formed Unicode"],
  [{ id: ".." }, 'invalid id: ".." cannot be asked for in a URL'],
  [
    { attachments: [{ content: "eA==", content_type: "Multipart/mixed; boundary=x" }] },
    'invalid attachments[0].content_type: "Multipart/mixed; boundary=x" is no type of one file',
  ],
  [{ from: 7 }, "invalid from: not a string"],
  [{ from: "x y" }, 'invalid from: "x y" is not an address'],
  [{ from: "a@b.c, d@e.f" }, 'invalid from: "a@b.c, d@e.f" is more than one address'],
  [{ to: "x y" }, 'invalid to: "x y" is not an address'],
  [{ to: ["d@e.f", 7] }, "invalid to: neither a string nor a list of strings"],
  [{ to: { address: "d@e.f" } }, "invalid to: neither a string nor a list of strings"],
  [{ cc: "x y" }, 'invalid cc: "x y" is not an address'],
  [{ bcc: ["x y"] }, 'invalid bcc: "x y" is not an address'],
  [{ reply_to: "x y" }, 'invalid reply_to: "x y" is not an address'],
  [{ return_path: "x y" }, 'invalid return_path: "x y" is not an address'],
  [{ subject: 7 }, "invalid subject: not a string"],
  [{ body: 7 }, "invalid body: not a string"],
  [{ html: ["x"] }, "invalid html: not a string"],
  [{ account_id: 7 }, "invalid account_id: not a string"],
  [{ content_type: "pdf" }, 'invalid content_type: "pdf" is neither plain nor html'],
  [{ headers: ["X"] }, "invalid headers: not an object"],
  [{ headers: { "X-A": true } }, "invalid headers.X-A: neither text nor a number"],
  [{ headers: { "X A": "x" } }, 'invalid headers: "X A" is not a header name'],
  [{ headers: { "X-A:\r\nBcc": "x" } }, 'invalid headers: "X-A:\\r\\nBcc" is not a header name'],
  [{ headers: { "X\r\nA": true } }, 'invalid headers."X\\r\\nA": neither text nor a number'],
  [{ headers: JSON.parse('{"__proto__":{}}') }, "invalid headers.__proto__: neither text nor a number"],
  [{ headers: { Sender: "x y" } }, 'invalid headers.Sender: "x y" is not an address'],
  [{ headers: { Sender: "a@b.c, d@e.f" } }, 'invalid headers.Sender: "a@b.c, d@e.f" is more than one address'],
  [{ headers: { "reply-to": "x y" } }, 'invalid headers.reply-to: "x y" is not an address'],
  [{ headers: { References: "<ü@b>" } }, 'invalid headers.References: "<ü@b>" is not ASCII'],
  [
    { headers: { "List-Help": "<a@b> =?utf-8?Q?=0D=0AX-Evil:_1?=" } },
    'invalid headers.List-Help: "<a@b> =?utf-8?Q?=0D=0AX-Evil:_1?=" has =?, encoded words are not allowed there',
  ],
  [{ headers: { "List-Help": "<ü>" } }, 'invalid headers.List-Help: "<ü>" is not ASCII'],
  [{ headers: { "In-Reply-To": "<a@b>", "in-reply-to": "<c@d>" } }, "invalid headers.in-reply-to: given twice"],
  [
    { headers: { "X-A": "x".repeat(994) } },
    "invalid headers.X-A: a word of 994 characters, a line of mail takes 998 with the name and breaks at spaces only",
  ],
  [{ headers: manyHeaders(201, "x") }, "invalid headers: 201 of them, at most 200 are taken"],
  [
    { headers: manyHeaders(100, "word ".repeat(200)) },
    "invalid headers: 100405 characters with addresses and subject, at most 65536 octets are taken",
  ],
  [
    { headers: manyHeaders(100, "word ".repeat(130)) },
    "invalid headers: 67330 octets with addresses and subject, at most 65536 are taken",
  ],
  [
    {
      to: [`"${"a".repeat(900)}" <d@e.f>`],
      cc: Array(69).fill(`"${"a".repeat(900)}" <d@e.f>`),
      subject: "x".repeat(2000),
    },
    "invalid headers: 65705 characters with addresses and subject, at most 65536 octets are taken",
  ],
  [{ to: Array(10_001).fill("a@b.c") }, "invalid to: 10001 addresses, at most 10000 are taken"],
  [{ bcc: "a@b.c,".repeat(10_001) }, "invalid bcc: 10001 addresses, at most 10000 are taken"],
  [{ bcc: Array(10_001).fill("") }, "invalid bcc: 10001 addresses, at most 10000 are taken"],
  [{ bcc: ",".repeat(1_000_001) }, "invalid bcc: 1000001 characters, at most 1000000 are taken"],
  [{ bcc: Array(10_000).fill("a@b.c") }, "invalid to: 10001 recipients with cc and bcc, at most 10000 are taken"],
  [{ return_path: `${" ".repeat(1001)}x` }, /^invalid return_path: ".*" is longer than 1000 characters$/],
  [
    { headers: { References: "<a@b> =?x" } },
    'invalid headers.References: "<a@b> =?x" has =?, encoded words are not allowed there',
  ],
  [
    { subject: "ü".repeat(30_000) },
    /^invalid headers: \d+ octets with addresses and subject, at most 65536 are taken$/,
  ],
  [{ to: Array(3000).fill("recipient@example.org") }, /^invalid headers: \d+ octets with addresses and subject/],
  [{ message_id: "=?utf-8?Q?=0D=0A?=@b" }, 'invalid message_id: "=?utf-8?Q?=0D=0A?=@b" holds an encoded word'],
  [{ list_unsubscribe: "https://x.y" }, "invalid list_unsubscribe: not an object"],
  [{ list_unsubscribe: { url: 7 } }, "invalid list_unsubscribe.url: not a string"],
  [{ list_unsubscribe: { one_click: "yes" } }, "invalid list_unsubscribe.one_click: neither true nor false"],
  [{ list_unsubscribe: {} }, "invalid list_unsubscribe has neither url nor mailto"],
  [{ headers: { "": "x" } }, 'invalid headers: "" is not a header name'],
  [{ message_id: "a b@c" }, 'invalid message_id: "a b@c" is not one line of printable ASCII'],
  [
    { message_id: "<a@b>\r\nBcc: x@y.z" },
    'invalid message_id: "<a@b>\\r\\nBcc: x@y.z" is not one line of printable ASCII',
  ],
  [{ message_id: "<a@b><c@d>" }, 'invalid message_id: "<a@b><c@d>" is not one line of printable ASCII'],
  [{ message_id: "ü@b" }, 'invalid message_id: "ü@b" is not one line of printable ASCII'],
  [{ message_id: "a@" }, 'invalid message_id: "a@" is not of the form <…@…>'],
  [{ message_id: `${"x".repeat(900)}@b` }, "invalid message_id: longer than 900 characters"],
  [{ priority: "urgent" }, 'invalid priority: "urgent" is none of 0, 1, 2, 3, immediate, high, medium, low'],
  [{ priority: true }, "invalid priority: neither a number nor a string"],
  [{ deferred_ts: "soon" }, "invalid deferred_ts: not a number"],
  [{ deferred_ts: NOW + 366 * DAY + 1 }, "invalid deferred_ts: more than 366 days ahead, epoch seconds are wanted"],
  [{ deferred_ts: NOW_MS + 60_000 }, "invalid deferred_ts: more than 366 days ahead, epoch seconds are wanted"],
  [
    { deferred_ts: Number.POSITIVE_INFINITY },
    "invalid deferred_ts: more than 366 days ahead, epoch seconds are wanted",
  ],
  [{ expires_ts: "soon" }, "invalid expires_ts: not a number"],
  [{ expires_ts: NOW_MS }, "invalid expires_ts: more than 36600 days ahead, epoch seconds are wanted"],
  [{ on_ambiguous: "maybe" }, "invalid on_ambiguous: neither retry nor fail"],
  [{ attachments: {} }, "invalid attachments: not a list"],
  [{ attachments: ["x"] }, "invalid attachments[0]: not an object"],
  [
    { attachments: [{ content: "YQ" }, {}] },
    "invalid attachments[1] has no source, one of content, url, storage_path and s3 is wanted",
  ],
  [
    { attachments: [{ content: "YQ", url: "http://x/" }] },
    "invalid attachments[0] has content and url, one of content, url, storage_path and s3 is wanted",
  ],
  [{ attachments: [{ content: "not base64!" }] }, "invalid attachments[0].content: not base64"],
  [{ attachments: [{ content: 7 }] }, "invalid attachments[0].content: not a string"],
  [
    { attachments: [{ content: "YQ", content_type: "text" }] },
    'invalid attachments[0].content_type: "text" is not a media type',
  ],
  [
    { attachments: [{ content: "YQ", content_type: "a/b\r\nX: y" }] },
    'invalid attachments[0].content_type: "a/b\\r\\nX: y" is not a media type',
  ],
  [
    { attachments: [{ content: "YQ", content_id: "a b" }] },
    'invalid attachments[0].content_id: "a b" is not one word of printable ASCII',
  ],
  [
    { attachments: [{ content: "YQ", content_id: "a=?utf-8?Q?b?=" }] },
    'invalid attachments[0].content_id: "a=?utf-8?Q?b?=" is not one word of printable ASCII',
  ],
  [
    {
      attachments: [{ content: "YQ", content_id: "logo" }, { content: "YQ" }, { content: "YQ", content_id: "<logo>" }],
    },
    'invalid attachments[2].content_id: "logo" is that of attachments[0] too',
  ],
  [
    { attachments: [{ content: "YQ" }, { content: Buffer.alloc(10_001).toString("base64") }] },
    "invalid attachments[1].content: it has 10001 bytes, attachments.max_bytes allows at most 10000",
  ],
  [{ attachments: [{ content: "", url: "" }] }, "invalid attachments[0].url: not an http or https address"],
  [
    { attachments: [{ content: "", url: "https://x.y/z", s3: { bucket: "docs", key: "k" } }] },
    "invalid attachments[0] has url and s3, one of content, url, storage_path and s3 is wanted",
  ],
  [{ attachments: Array(101).fill({ content: "YQ" }) }, "invalid attachments: 101 of them, at most 100 are taken"],
  [
    { attachments: [{ url: `https://x/${"y".repeat(16_384)}` }] },
    "invalid attachments[0].url: longer than 16384 characters",
  ],
  [{ attachments: [{ url: "ftp://x/y" }] }, "invalid attachments[0].url: not an http or https address"],
  [{ attachments: [{ url: "x.pdf" }] }, "invalid attachments[0].url: not an http or https address"],
  [{ attachments: [{ s3: { bucket: "b" } }] }, "invalid attachments[0].s3.key: missing"],
  [{ attachments: [{ s3: { bucket: "", key: "k" } }] }, "invalid attachments[0].s3.bucket: empty"],
];

for (const [fields, text] of INVALID) {
  test(`message: ${text}`, () => {
    if (typeof text === "string") assert.equal(reason(fields), text);
    else assert.match(reason(fields), text);
  });
}

function manyHeaders(count: number, value: string): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`X-${index}`, value]));
}

test("message: ids of 255 characters are accepted, however many bytes they have", () => {
  assert.equal(accepted({ id: "😀".repeat(255) }).id.length, 510);
  assert.equal(reason({ id: "😀".repeat(256) }), "invalid id: longer than 255 characters");
});

test("message: line breaks in a subject become spaces", () => {
  assert.equal(accepted({ subject: "a\r\nBcc: x@y.z\nb\rc\0d" }).payload.subject, "a Bcc: x@y.z b c d");
  assert.equal(accepted({ subject: "a\x85b\u2028c\u2029d" }).payload.subject, "a b c d");
});

test("message: line breaks in a header's value become spaces", () => {
  assert.deepEqual(accepted({ headers: { "X-A": "one\r\n two\nBcc: x@y.z" } }).payload.headers, {
    "X-A": "one  two Bcc: x@y.z",
  });
  assert.deepEqual(accepted({ headers: { "X-A": "a\x85b\u2028c\u2029d" } }).payload.headers, { "X-A": "a b c d" });
});

test("message: headers that the service owns are ignored, with a warning", () => {
  const owned = [
    "From",
    "to",
    "CC",
    "Bcc",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "content-x",
  ];
  const more = ["Received", "Return-Path", "DKIM-Signature"];
  for (const name of [...owned, ...more]) {
    const { payload, warnings } = accepted({ headers: { [name]: "x", "X-Kept": "y" } });
    assert.deepEqual(payload.headers, { "X-Kept": "y" });
    assert.deepEqual(warnings, [`headers.${name} ignored: the service sets it`]);
  }
});

test("message: names that mean something to JavaScript are headers like others, and so are two that differ in case", () => {
  const headers = JSON.parse('{"__proto__":"p","constructor":"c","prototype":"q","X-A":"1","x-a":"2","X-Blank":"  "}');
  const kept = JSON.stringify(accepted({ headers }).payload.headers);
  assert.equal(kept, '{"__proto__":"p","constructor":"c","prototype":"q","X-A":"1","x-a":"2"}');
});

test("message: a header that would show hidden recipients is left out", () => {
  const { payload, warnings } = accepted({ headers: { "Resent-Bcc": "x@y.z" } });
  assert.equal(payload.headers, undefined);
  assert.deepEqual(warnings, ["headers.Resent-Bcc ignored: it would show whom it is to hide"]);
});

test("message: list_unsubscribe is kept as it was given, and its headers make way for it", () => {
  const list_unsubscribe = { url: "https://x.y/u", mailto: "u@x.y", one_click: null, oneclick: true };
  const headers = { "List-Unsubscribe": "<https://other>", "list-unsubscribe-post": "x", "List-Id": "<x.y>" };
  const { payload, warnings } = accepted({ list_unsubscribe, headers });
  assert.deepEqual(payload.list_unsubscribe, { url: "https://x.y/u", mailto: "mailto:u@x.y" });
  assert.deepEqual(payload.headers, { "List-Id": "<x.y>" });
  assert.deepEqual(warnings, [
    'unknown field "list_unsubscribe.oneclick", did you mean "list_unsubscribe.one_click"?',
    "headers.List-Unsubscribe ignored: list_unsubscribe is given",
    "headers.list-unsubscribe-post ignored: list_unsubscribe is given",
  ]);
});

test("message: a file name is kept as it will be shown", () => {
  const { payload } = accepted({ attachments: [{ content: "YQ", filename: "..\\..\\x.pdf\r\n" }] });
  assert.equal(payload.attachments?.[0]?.filename, "x.pdf");
});

test("message: a name in an attachment's content type is its filename where none is given", () => {
  const { payload, warnings } = accepted({
    attachments: [
      { content: "YQ", content_type: "application/pdf; name=x.pdf", filename: "y.pdf" },
      { content: "YQ", content_type: 'application/pdf; name="..\\..\\x.pdf\r\n"; version=1' },
      { content: "YQ", content_type: "text/plain; name*=utf-8''%E2%82%AC%2F%E2%82%AC%0D%0ABcc%3A%20x.txt" },
      { content: "YQ", content_type: 'text/plain; name=".."' },
    ],
  });
  assert.deepEqual(payload.attachments, [
    { content_type: "application/pdf", filename: "y.pdf", size: 1 },
    { content_type: "application/pdf; version=1", filename: "x.pdf", size: 1 },
    { content_type: "text/plain", filename: "\u20ac Bcc: x.txt", size: 1 },
    { content_type: "text/plain", size: 1 },
  ]);
  assert.deepEqual(warnings, [
    "attachments[0].content_type: name ignored: filename is given",
    "attachments[1].content_type: name taken for the filename, which is not given",
    "attachments[2].content_type: name taken for the filename, which is not given",
    "attachments[3].content_type: name ignored: it is empty",
  ]);
});

test("message: an empty content is an empty file, and beside another source is absent", () => {
  const { payload, contents } = accepted({
    attachments: [
      { content: "" },
      { content: "", url: "https://x.y/z" },
      { content: "", s3: { bucket: "docs", key: "k" } },
      { content: Buffer.alloc(10_000).toString("base64") },
    ],
  });
  assert.deepEqual(payload.attachments, [
    { size: 0 },
    { url: "https://x.y/z" },
    { s3: { bucket: "docs", key: "k" } },
    { size: 10_000 },
  ]);
  assert.deepEqual(
    contents.map(({ length }) => length),
    [0, 10_000],
  );
});

test("message: a Reply-To header gives way to reply_to", () => {
  assert.deepEqual(accepted({ headers: { "Reply-To": "x@y.z" } }).payload.headers, { "Reply-To": "x@y.z" });
  const { payload, warnings } = accepted({ headers: { "Reply-To": "x@y.z" }, reply_to: "r@b.c" });
  assert.equal(payload.headers, undefined);
  assert.deepEqual(warnings, ["headers.Reply-To ignored: reply_to is given"]);
});

test("message: unknown fields are named, with a guess where one is near", () => {
  const attachments = [{ content: "YQ", filname: "x" }, { s3: { bucket: "docs", key: "k", version: "1" } }];
  assert.deepEqual(accepted({ replyTo: "x", colour: 1, attachments }).warnings, [
    'unknown field "replyTo", did you mean "reply_to"?',
    'unknown field "colour"',
    'unknown field "attachments[0].filname", did you mean "attachments[0].filename"?',
    'unknown field "attachments[1].s3.version", did you mean "attachments[1].s3.version_id"?',
  ]);
});

test("message: a Message-ID is brought to the form <…@…>", () => {
  for (const [given, kept] of [
    ["<x@y>", "<x@y>"],
    ["x@y", "<x@y>"],
    [" <x@y> ", "<x@y>"],
    ["x", "<x@b.c>"],
    ["<x>", "<x@b.c>"],
  ]) {
    assert.equal(accepted({ message_id: given }).messageId, kept);
  }
});

test("message: deferred_ts of the past, 0 or less is now; 366 days are accepted", () => {
  for (const deferred_ts of [0, -5, NOW - 1, NOW]) assert.equal(accepted({ deferred_ts }).deferredMs, null);
  assert.equal(accepted({ deferred_ts: NOW + 366 * DAY }).deferredMs, NOW_MS + 366 * DAY * 1000);
});

test("message: an expires_ts that has passed is kept, 0 or less means never", () => {
  assert.equal(accepted({ expires_ts: NOW - 1 }).expiresMs, NOW_MS - 1000);
  for (const expires_ts of [0, -1]) assert.equal(accepted({ expires_ts }).expiresMs, null);
});

test("message: the call's priority serves where the message has none", () => {
  const parsed = parseMessage(POSTED, { ...context, defaultPriority: 0 });
  assert.ok(parsed.ok);
  assert.equal(parsed.message.priority, 0);
  assert.equal(parsed.message.payload.priority, undefined);
});

const PRIORITIES: [value: unknown, priority: number | null][] = [
  [0, 0],
  [3, 3],
  [-1, 0],
  [9, 3],
  [1.9, 1],
  ["2", 2],
  [" 1 ", 1],
  ["7", 3],
  ["-4", 0],
  ["immediate", 0],
  ["High", 1],
  ["MEDIUM", 2],
  ["low", 3],
  ["urgent", null],
  ["", null],
  ["1e9", null],
  ["constructor", null],
  [true, null],
  [null, null],
  [[1], null],
  [Number.NaN, null],
];

test("message: priorities as numbers, numeric text and words", () => {
  for (const [value, priority] of PRIORITIES) assert.equal(parsePriority(value), priority, String(value));
});

test("message: the size counts texts and decoded attachments", () => {
  const { bytes } = accepted({
    body: "é".repeat(1000),
    attachments: [{ content: Buffer.alloc(5000).toString("base64") }],
  });
  assert.ok(bytes >= 7000 && bytes < 7600, String(bytes));
});
