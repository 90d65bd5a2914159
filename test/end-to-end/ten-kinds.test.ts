import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import test from "node:test";
import { type AddressObject, type ParsedMail, simpleParser } from "mailparser";
import { eventually } from "../support/eventually.ts";
import { type Service, startService } from "../support/service.ts";
import type { Received } from "../support/smtp-server.ts";

type Posted = {
  id: string;
  from: string;
  to: string | string[];
  cc?: string[];
  bcc?: string[];
  subject: string;
  body: string;
  html?: string;
  content_type?: string;
  headers?: Record<string, string>;
  attachments?: { filename: string; content_type: string; content: string }[];
  priority?: string;
  deferred_ts?: number;
  reply_to?: string;
};

const threeMegabytes = randomBytes(3 * 1024 * 1024);
const scheduledMs = 3000;

const kinds: Posted[] = [
  { ...basics("plain"), body: "Dear all,\n\n.a line that begins with a dot\nGreetings\n" },
  { ...basics("alternative"), body: "Plain words", html: "<p>Words with <b>weight</b></p>" },
  { ...basics("html-only"), content_type: "html", body: "<p>Only <i>HTML</i></p>" },
  { ...basics("copies"), cc: ["carl@example.net", "Cora <cora@example.net>"], bcc: ["hidden@example.net"] },
  {
    ...basics("non-ascii"),
    from: "Jörg Müller <joerg@example.com>",
    to: "Łukasz Żółć <lukasz@example.org>",
    subject: "Grüße aus Zürich — 日本語 ✉",
    body: "Здравствуйте, 世界!\nÇa va très bien.",
  },
  { ...basics("long-line"), body: `${"words and ".repeat(500)}\n${"x".repeat(3000)}\nend` },
  { ...basics("comma"), from: '"Doe, Jane" <jane@example.com>', to: ['"Roe, Richard" <richard@example.org>'] },
  {
    ...basics("attachment"),
    attachments: [{ filename: "data ü.bin", content_type: "application/x-data", content: wrapped(threeMegabytes) }],
  },
  {
    ...basics("headers"),
    headers: { "X-Campaign": "spring 42", "List-Id": "<list.example.com>" },
    reply_to: "r@example.com",
  },
  { ...basics("scheduled") },
  { ...basics("low"), priority: "low" },
  { ...basics("high"), priority: "high" },
];

test("messages of ten kinds arrive as they were posted, once, and are reported once", async (t) => {
  const service = await startService({ env: { PROXY_SYNC_USER: "app", PROXY_SYNC_PASSWORD: "s3cret:ü" } });
  const postedAt = Date.now();
  const scheduled = kinds.find((kind) => kind.id === "scheduled");
  assert.ok(scheduled);
  scheduled.deferred_ts = (postedAt + scheduledMs) / 1000;

  const answer = await service.api.addMessages(
    ...kinds.map((kind) => ({ ...kind, headers: { "X-Kind": kind.id, ...kind.headers } })),
  );
  assert.deepEqual(answer.body, { ok: true, queued: kinds.length, rejected: [] });
  const received = await service.smtp.received(kinds.length, 15_000);
  const mails = new Map<string, { mail: ParsedMail; received: Received }>();
  for (const one of received) {
    const mail = await simpleParser(one.raw, { skipHtmlToText: true, skipTextToHtml: true });
    mails.set(String(mail.headers.get("x-kind")), { mail, received: one });
  }

  for (const posted of kinds)
    await t.test(posted.id, async () => {
      const arrived = mails.get(posted.id);
      assert.ok(arrived, "it arrived");
      compareContent(posted, arrived.mail);
      compareEnvelope(posted, arrived.received);
      await compareIdentity(service, posted, arrived.mail, postedAt);
    });

  await t.test("what is scheduled 3 s ahead leaves then, and not before", () => {
    const at = mails.get("scheduled")?.received.dataAt ?? 0;
    assert.ok(at >= postedAt + scheduledMs, `left ${postedAt + scheduledMs - at} ms too early`);
    assert.ok(at < postedAt + scheduledMs + 1500, `left ${at - postedAt - scheduledMs} ms too late`);
  });

  await t.test("each is reported once, with basic authentication", async () => {
    await service.client.reports(kinds.length, 10_000);
    const records = await eventually(async () => {
      const { body } = await service.api.get("/messages");
      return body.messages.every((record: { reported_ts?: number }) => record.reported_ts) && body.messages;
    }, 5000);
    assert.equal(records.length, kinds.length);
    const reports = await service.client.reports(kinds.length);
    assert.deepEqual(reports.map((report) => report.id).sort(), kinds.map((kind) => kind.id).sort());
    for (const report of reports) {
      assert.ok(report.sent_ts);
      assert.equal(report.message_id, mails.get(report.id)?.mail.messageId);
    }
    const credentials = `Basic ${Buffer.from("app:s3cret:ü").toString("base64")}`;
    for (const call of service.client.calls) assert.equal(call.headers.authorization, credentials);
  });

  assert.equal(service.smtp.messages.length, kinds.length, "none arrived twice");
  assert.deepEqual(await service.stop(), [0, 0, 0]);
});

function basics(id: string): Posted {
  return {
    id,
    from: "sender@example.com",
    to: [`${id}@example.org`],
    subject: `A message of the kind ${id}`,
    body: `The body of ${id}`,
  };
}

/** Base64 as MIME writes it: lines of 76 characters. */
function wrapped(bytes: Buffer): string {
  return bytes.toString("base64").replaceAll(/.{76}/g, "$&\r\n");
}

function compareContent(posted: Posted, mail: ParsedMail): void {
  assert.equal(mail.subject, posted.subject);
  assert.deepEqual(addresses(mail.from), readable([posted.from]));
  assert.deepEqual(addresses(mail.to), readable([posted.to].flat()));
  assert.deepEqual(addresses(mail.cc), readable(posted.cc ?? []));
  assert.deepEqual(addresses(mail.replyTo), readable(posted.reply_to ? [posted.reply_to] : []));
  const html = posted.content_type === "html" ? posted.body : posted.html;
  assert.equal(ended(mail.html), ended(html));
  assert.equal(ended(mail.text), ended(posted.content_type === "html" ? undefined : posted.body));
  // Names of fields have no case of their own (RFC 5322).
  for (const [name, value] of Object.entries(posted.headers ?? {})) {
    const line = mail.headerLines.find(({ key }) => key === name.toLowerCase())?.line;
    assert.equal(line?.replace(/^[^:]*: /, ""), value, name);
  }
  assert.deepEqual(
    mail.attachments.map(({ filename, contentType, content }) => ({ filename, contentType, content })),
    (posted.attachments ?? []).map((one) => ({
      filename: one.filename,
      contentType: one.content_type,
      content: Buffer.from(one.content, "base64"),
    })),
  );
}

/** Every recipient is asked for, and the mail tells nobody of the hidden ones. */
function compareEnvelope(posted: Posted, received: Received): void {
  const recipients = [posted.to, posted.cc ?? [], posted.bcc ?? []].flat();
  assert.deepEqual(
    received.to.toSorted(),
    readable(recipients)
      .map((one) => one.address)
      .sort(),
  );
  assert.equal(received.from, readable([posted.from])[0]?.address);
  for (const hidden of posted.bcc ?? []) assert.equal(received.raw.includes(hidden), false, "Bcc stays hidden");
  assert.doesNotMatch(received.raw.toString("latin1"), /^bcc:/im);
}

async function compareIdentity(service: Service, posted: Posted, mail: ParsedMail, postedAt: number): Promise<void> {
  const { body: record } = await service.api.get(`/messages/${posted.id}`);
  assert.equal(record.status, "sent");
  assert.match(record.message_id, /^<[^<>@\s]+@[^<>@\s]+>$/);
  assert.equal(mail.messageId, record.message_id);
  assert.ok(mail.date, "it has a Date");
  assert.ok(Math.abs(mail.date.getTime() - postedAt) < 10_000, `Date is ${mail.date.toISOString()}`);
}

function addresses(field: AddressObject | AddressObject[] | undefined) {
  return [field ?? []].flat().flatMap((one) => one.value.map(({ name, address }) => ({ name, address })));
}

/** `"Name" <address>`, `Name <address>` or the address alone. */
function readable(mailboxes: string[]): { name: string; address: string }[] {
  return mailboxes.map((mailbox) => {
    const named = /^"?(.*?)"?\s*<(.*)>$/.exec(mailbox);
    return { name: named?.[1] ?? "", address: named?.[2] ?? mailbox };
  });
}

/** A last line may or may not be ended. */
function ended(text: string | false | undefined): string | undefined {
  return text ? text.replace(/\n$/, "") : undefined;
}
