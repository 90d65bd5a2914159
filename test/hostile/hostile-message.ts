import fc from "fast-check";
import { hostileText, mostly, plainText } from "./hostile-text.ts";

const localPart = fc.constantFrom(
  "a",
  "john.doe",
  "x+y=z",
  "o'neil",
  "müller",
  "用户",
  '"john doe"',
  '"a.b"',
  '"a,b;c"',
);
const domain = fc.constantFrom("example.org", "Example.NET", "bücher.example", "中国.example", "sub.example.com");
const address = fc.tuple(localPart, domain).map((parts) => parts.join("@"));

const printable = hostileText.map((text) => text.replace(/[\x00-\x1f\x7f]/g, " ").slice(0, 900));

/** A name, whatever is in it, as RFC 5322 has it quoted. */
const quoted = fc.oneof(plainText, printable).map((name) => `"${name.replace(/["\\]/g, "\\$&")}"`);

const mailbox = fc.oneof(
  { weight: 8, arbitrary: address },
  { weight: 8, arbitrary: fc.tuple(quoted, address).map(([name, one]) => `${name} <${one}>`) },
  { weight: 1, arbitrary: fc.tuple(printable, address).map(([name, one]) => `${name} <${one}>`) },
  { weight: 1, arbitrary: fc.tuple(address, printable).map(([one, comment]) => `${one} (${comment})`) },
);

const damagedMailbox = fc
  .tuple(mailbox, hostileText, fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([text, attack, where]) => {
    const at = Math.floor(where * text.length);
    return text.slice(0, at) + attack + text.slice(at);
  });

const one = fc.oneof({ weight: 19, arbitrary: mailbox }, { weight: 1, arbitrary: damagedMailbox });
const list = fc.array(one, { minLength: 1, maxLength: 4 });
const mailboxes = fc.oneof(
  one,
  list,
  list.map((all) => all.join(", ")),
);

const headerName = fc.constantFrom(
  ...["X-Campaign", "x-campaign", "X-A", "__proto__", "constructor", "toString", "List-Id", "Auto-Submitted"],
  ...["References", "In-Reply-To", "Sender", "Reply-To", "Bcc", "Resent-Bcc", "Content-Type", "Received", "OTP-Token"],
);
const headers = fc.dictionary(
  fc.oneof({ weight: 60, arbitrary: headerName }, { weight: 1, arbitrary: hostileText }),
  fc.oneof(mostly(plainText, 2), address, fc.nat(), fc.constant(null)),
  { maxKeys: 4 },
);

const fileName = mostly(fc.constantFrom("report.pdf", "Grüße 2025.txt", "日本.docx", "mail.eml", "invite.ics"), 1);
const attachment = fc.record(
  {
    content: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString("base64")),
    filename: fileName,
    content_type: fc.oneof(
      {
        weight: 9,
        arbitrary: mostly(
          fc.constantFrom("text/plain", "text/calendar; method=REQUEST", "image/png", "message/rfc822", 'a/b; c="d e"'),
        ),
      },
      { weight: 1, arbitrary: hostileText.map((text) => `application/pdf; name="${text}"`) },
      {
        weight: 1,
        arbitrary: hostileText.map((text) => `a/b; name*=utf-8''${encodeURIComponent(text.toWellFormed())}`),
      },
    ),
    content_id: mostly(fc.oneof(fc.constantFrom("logo", "<c@d>"), fc.nat().map(String)), 30),
  },
  { requiredKeys: ["content"] },
);

const listUnsubscribe = fc.record(
  {
    url: mostly(fc.constantFrom("https://example.com/u?id=1", "https://x.y/", "http://example.com/u"), 15),
    mailto: mostly(fc.oneof(address, fc.constant("mailto:u@example.com?subject=stop%20it")), 15),
    one_click: fc.constantFrom(null, null, null, false, false, true),
  },
  { requiredKeys: ["url"] },
);

const body = mostly(plainText, 1);

const FIELDS = [
  ...["id", "account_id", "from", "to", "cc", "bcc", "reply_to", "return_path", "subject", "body", "html", "headers"],
  ...["content_type", "message_id", "list_unsubscribe", "attachments", "priority", "deferred_ts", "expires_ts"],
  ...["on_ambiguous", "__proto__", "attachment"],
];

/** As a client might post it, one that means well or one that does not: each field good, hostile or of a wrong type. */
export const hostileMessage: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 40, arbitrary: message() },
  { weight: 4, arbitrary: fc.tuple(message(), wrongField()).map(([one, wrong]) => ({ ...one, ...wrong })) },
  { weight: 1, arbitrary: fc.anything() },
);

function message(): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(
    {
      id: mostly(fc.constantFrom("m1", "m 2"), 20),
      from: one,
      to: mailboxes,
      subject: mostly(plainText, 1),
      body,
      html: body.map((text) => `<p>${text}</p>`),
      cc: mailboxes,
      bcc: mailboxes,
      reply_to: mailboxes,
      return_path: fc.oneof(address, fc.constant("<>")),
      content_type: fc.constantFrom("plain", "html", "text/html"),
      headers,
      message_id: mostly(fc.constantFrom("<own@example.com>", "own"), 20),
      list_unsubscribe: listUnsubscribe,
      attachments: fc.array(attachment, { maxLength: 3 }),
      priority: fc.oneof(fc.integer(), fc.constantFrom("high", "low")),
    },
    { requiredKeys: ["id", "from", "to", "subject"] },
  );
}

/** JSON as it comes from a client, so that `__proto__` is a key like others. */
function wrongField(): fc.Arbitrary<object> {
  return fc
    .tuple(
      fc.constantFrom(...FIELDS),
      fc.oneof(fc.jsonValue(), fc.array(fc.anything()), fc.array(fc.dictionary(fc.string(), fc.anything()))),
    )
    .map(([field, value]) => Object.fromEntries([[field, value]]));
}
