import assert from "node:assert/strict";
import { test } from "node:test";
import { toDraft } from "@async-mail/domain/draft";
import type { Payload } from "@async-mail/domain/message";

const PAYLOAD: Payload = { id: "m1", from: "Ann <a@b.c>", to: "d@e.f", subject: "Hello" };

test("draft: every part of a payload", () => {
  const draft = toDraft({
    ...PAYLOAD,
    to: ['"Rossi, Mario" <m@x.it>', "d@e.f"],
    cc: "g@h.i",
    bcc: ["j@k.l"],
    reply_to: "r@b.c",
    return_path: "Bounces <bounce@b.c>",
    body: "Hi",
    headers: { "X-A": "1" },
  });
  assert.deepEqual(draft, {
    from: { name: "Ann", address: "a@b.c" },
    to: [
      { name: "Rossi, Mario", address: "m@x.it" },
      { name: "", address: "d@e.f" },
    ],
    cc: [{ name: "", address: "g@h.i" }],
    bcc: [{ name: "", address: "j@k.l" }],
    replyTo: [{ name: "", address: "r@b.c" }],
    returnPath: "bounce@b.c",
    subject: "Hello",
    text: "Hi",
    html: null,
    headers: [["X-A", "1"]],
    attachments: [],
  });
});

test("draft: which body is which", () => {
  const bodies = (fields: Partial<Payload>) => {
    const { text, html } = toDraft({ ...PAYLOAD, ...fields });
    return { text, html };
  };
  assert.deepEqual(bodies({}), { text: "", html: null });
  assert.deepEqual(bodies({ body: "x" }), { text: "x", html: null });
  assert.deepEqual(bodies({ body: "x", content_type: "html" }), { text: null, html: "x" });
  assert.deepEqual(bodies({ body: "x", content_type: "TEXT/HTML" }), { text: null, html: "x" });
  assert.deepEqual(bodies({ content_type: "html" }), { text: null, html: "" });
  assert.deepEqual(bodies({ body: "x", html: "y" }), { text: "x", html: "y" });
  assert.deepEqual(bodies({ html: "y" }), { text: null, html: "y" });
  assert.deepEqual(bodies({ body: "x", html: "y", content_type: "html" }), { text: "x", html: "y" });
});

test("draft: the return path may be the null sender", () => {
  assert.equal(toDraft(PAYLOAD).returnPath, null);
  assert.equal(toDraft({ ...PAYLOAD, return_path: "<>" }).returnPath, "");
});

test("draft: attachments have a name and know where their bytes are", () => {
  const { attachments } = toDraft({
    ...PAYLOAD,
    attachments: [
      { url: "https://x.y/a/b%20c.pdf?q=/d" },
      { size: 3, filename: "a.txt", content_type: "text/plain", content_id: "logo" },
      { s3: { bucket: "b", key: "in/voice.pdf", version_id: "7" } },
      { size: 5 },
      { url: "https://x.y/" },
      { url: "https://x.y/%ff" },
    ],
  });
  assert.deepEqual(
    attachments.map(({ filename }) => filename),
    ["b c.pdf", "a.txt", "voice.pdf", "attachment", "attachment", "%ff"],
  );
  assert.deepEqual(
    attachments.map(({ source }) => source),
    [
      { kind: "url", url: "https://x.y/a/b%20c.pdf?q=/d", auth: null },
      { kind: "content", index: 0 },
      { kind: "s3", bucket: "b", key: "in/voice.pdf", versionId: "7" },
      { kind: "content", index: 1 },
      { kind: "url", url: "https://x.y/", auth: null },
      { kind: "url", url: "https://x.y/%ff", auth: null },
    ],
  );
  assert.equal(attachments[1]!.contentType, "text/plain");
  assert.equal(attachments[1]!.contentId, "logo");
  assert.equal(attachments[0]!.contentType, null);
});

test("draft: every line break is CRLF", () => {
  const { text, html } = toDraft({ ...PAYLOAD, body: "a\rb\nc\r\nd\n\r\re", html: "<p>\n</p>\r" });
  assert.equal(text, "a\r\nb\r\nc\r\nd\r\n\r\n\r\ne");
  assert.equal(html, "<p>\r\n</p>\r\n");
});

test("draft: the first attachment that is a calendar entry with a method is an invitation", () => {
  const attachments = [
    { size: 1, content_type: "text/calendar" },
    { size: 1, content_type: 'TEXT/Calendar; Method="REQUEST"; charset=us-ascii' },
    { size: 1, content_type: "text/calendar; method=CANCEL" },
    { size: 1, content_type: "text/plain; method=REQUEST" },
  ];
  const draft = toDraft({ ...PAYLOAD, attachments });
  assert.deepEqual(
    draft.attachments.map(({ calendar, contentType }) => [calendar, contentType]),
    [
      [false, "text/calendar; charset=utf-8"],
      [true, 'TEXT/Calendar; Method="REQUEST"; charset=us-ascii'],
      [false, "text/calendar; method=CANCEL; charset=utf-8"],
      [false, "text/plain; method=REQUEST"],
    ],
  );
});

test("draft: list_unsubscribe becomes headers after the client's own", () => {
  const { headers } = toDraft({ ...PAYLOAD, headers: { "X-A": "1" }, list_unsubscribe: { url: "https://x.y/u" } });
  assert.deepEqual(headers, [
    ["X-A", "1"],
    ["List-Unsubscribe", "<https://x.y/u>"],
    ["List-Unsubscribe-Post", "List-Unsubscribe=One-Click"],
  ]);
});

test("draft: a payload that would have been refused is an error with field and fault", () => {
  assert.throws(() => toDraft({ ...PAYLOAD, to: "x y" }), /to: "x y" is not an address/);
});
