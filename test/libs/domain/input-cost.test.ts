import assert from "node:assert/strict";
import { test } from "node:test";
import { type ParseContext, parseMessage } from "@async-mail/domain/message";

const context: ParseContext = {
  now: 1_800_000_000_000,
  defaultPriority: 2,
  newMessageId: (domain) => `<new@${domain}>`,
  s3Allow: [],
  maxAttachmentBytes: 1_000_000_000,
  tenantS3: null,
  endpoint: false,
};

const POSTED = { id: "m1", from: "a@b.c", to: "d@e.f", subject: "Hello" };
/** As `server.max_body_bytes` lets pass. */
const LENGTH = 60_000_000;

/** Each is to be refused unread. */
const HUGE: [what: string, fields: (pattern: (unit: string) => string) => object][] = [
  ["id", (of) => ({ id: of("x") })],
  ["from", (of) => ({ from: of("a@b.c,") })],
  ["to", (of) => ({ to: of("A <a@b.c>,") })],
  ["cc", (of) => ({ cc: of('"\\') })],
  ["bcc", (of) => ({ bcc: of("(") })],
  ["reply_to", (of) => ({ reply_to: of("<") })],
  ["return_path", (of) => ({ return_path: of("a,") })],
  ["subject", (of) => ({ subject: of("ä") })],
  ["a header's words", (of) => ({ headers: { "X-A": of("a ") } })],
  ["a header's encoded words", (of) => ({ headers: { "X-A": of("=?a ") } })],
  ["References", (of) => ({ headers: { References: of("<a@b> ") } })],
  ["Sender", (of) => ({ headers: { Sender: of("a,") } })],
  ["message_id", (of) => ({ message_id: of("=?a") })],
  ["list_unsubscribe.url", (of) => ({ list_unsubscribe: { url: `https://x.y/${of("?&")}` } })],
  ["list_unsubscribe.mailto", (of) => ({ list_unsubscribe: { mailto: of("a@b.c,") } })],
];

for (const [what, fields] of HUGE) {
  test(`input cost: to refuse 60 MB as ${what} costs little beside reading the request`, () => {
    const text = JSON.stringify({ ...POSTED, ...fields((unit) => unit.repeat(LENGTH / unit.length)) });
    let raw: unknown;
    const read = cost(() => (raw = JSON.parse(text)));
    const refused = cost(() => assert.ok(!parseMessage(raw, context).ok));
    assert.ok(refused <= 20 * read, `reading it took ${read} ms, refusing it ${refused} ms`);
  });
}

/** In ms of this process's own processor time: others use this machine too. */
function cost(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return Math.max((user + system) / 1000, 1);
}
