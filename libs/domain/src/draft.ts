import { type Mailbox, mailboxKey, parseMailbox, parseMailboxes } from "./address.ts";
import { attachmentName, type StoredAttachment } from "./attachment.ts";
import { unsubscribeHeaders } from "./list-unsubscribe.ts";
import { isInvite, withCharset } from "./media-type.ts";
import type { Payload } from "./payload.ts";
import { bad, good, quote, type Read } from "./read.ts";
import type { ClientAuth } from "./tenant.ts";

/** Where an attachment's bytes come from. `index` counts the message's inline contents. */
export type AttachmentSource =
  | { kind: "content"; index: number }
  | { kind: "url"; url: string; auth: ClientAuth | null }
  /** The tenant's client is asked for it; `auth` null: with the tenant's own login. */
  | { kind: "endpoint"; path: string; auth: ClientAuth | null }
  | { kind: "s3"; bucket: string; key: string; versionId: string | null };

export type DraftAttachment = {
  filename: string;
  /** null: by the name, else application/octet-stream. */
  contentType: string | null;
  /** Without angle brackets; null: not inline. */
  contentId: string | null;
  /** An invitation: the last alternative of the body rather than a file beside it. At most one of a message. */
  calendar: boolean;
  /** Of its bytes, as far as the client says; a hint. */
  md5: string | null;
  source: AttachmentSource;
};

/** A payload taken apart, ready to become MIME. */
export type Draft = {
  from: Mailbox;
  to: Mailbox[];
  cc: Mailbox[];
  bcc: Mailbox[];
  replyTo: Mailbox[];
  /** MAIL FROM; empty: the null sender `<>`; null: the address of `from`. */
  returnPath: string | null;
  subject: string;
  /** At least one of the two is there. Each line break is CRLF. */
  text: string | null;
  html: string | null;
  /** Beside those of the fields above. */
  headers: [name: string, value: string][];
  attachments: DraftAttachment[];
};

/** Of To, Cc and Bcc together, as they were given. */
const MAX_RECIPIENTS = 10_000;

/** The draft of an accepted payload. Throws on one that parseMessage would have refused. */
export function toDraft(payload: Payload): Draft {
  const draft = readDraft(payload);
  if (!draft.ok) throw new Error(`the stored message is not valid: ${draft.fault}`);
  return draft.value;
}

/** The fault begins with the field's name. */
export function readDraft(payload: Payload): Read<Draft> {
  const from = named("from", parseMailbox(payload.from));
  if (!from.ok) return from;
  const to = named("to", parseMailboxes(payload.to));
  if (!to.ok) return to;
  const cc = named("cc", parseMailboxes(payload.cc ?? []));
  if (!cc.ok) return cc;
  const bcc = named("bcc", parseMailboxes(payload.bcc ?? []));
  if (!bcc.ok) return bcc;
  const count = to.value.length + cc.value.length + bcc.value.length;
  if (count > MAX_RECIPIENTS)
    return bad(`to: ${count} recipients with cc and bcc, at most ${MAX_RECIPIENTS} are taken`);
  const replyTo = named("reply_to", parseMailboxes(payload.reply_to ?? []));
  if (!replyTo.ok) return replyTo;
  const returnPath = named("return_path", readReturnPath(payload.return_path));
  if (!returnPath.ok) return returnPath;
  const bodies = named("content_type", readBodies(payload));
  if (!bodies.ok) return bodies;
  return good({
    from: from.value,
    to: to.value,
    cc: cc.value,
    bcc: bcc.value,
    replyTo: replyTo.value,
    returnPath: returnPath.value,
    subject: payload.subject,
    ...bodies.value,
    headers: [...Object.entries(payload.headers ?? {}), ...unsubscribeHeaders(payload.list_unsubscribe ?? {})],
    attachments: draftAttachments(payload),
  });
}

/** To, Cc and Bcc together, each mailbox once, as RCPT TO names them. */
export function recipientsOf(draft: Draft): string[] {
  const byKey = new Map<string, string>();
  for (const { address } of [...draft.to, ...draft.cc, ...draft.bcc]) {
    const key = mailboxKey(address);
    if (!byKey.has(key)) byKey.set(key, address);
  }
  return [...byKey.values()];
}

function named<T>(field: string, read: Read<T>): Read<T> {
  return read.ok ? read : bad(`${field}: ${read.fault}`);
}

function readReturnPath(text: string | undefined): Read<string | null> {
  if (text === undefined) return good(null);
  if (text.trim() === "<>") return good("");
  const mailbox = parseMailbox(text);
  return mailbox.ok ? good(mailbox.value.address) : mailbox;
}

/** With `html`, `body` is the plain alternative, whatever `content_type` says of it. */
function readBodies({ body = "", html, content_type = "plain" }: Payload): Read<Pick<Draft, "text" | "html">> {
  const type = content_type
    .trim()
    .toLowerCase()
    .replace(/^text\//, "");
  if (type !== "plain" && type !== "html") return bad(`${quote(content_type)} is neither plain nor html`);
  if (html !== undefined) return good({ text: body === "" ? null : asLines(body), html: asLines(html) });
  return good(type === "html" ? { text: null, html: asLines(body) } : { text: asLines(body), html: null });
}

/** A lone CR or LF is a line break too, and mail knows one kind only (RFC 2046 §4.1.1). */
function asLines(text: string): string {
  return text.replace(/\r\n|\r|\n/g, "\r\n");
}

/** The attachments of an accepted payload, in their order. */
export function draftAttachments({ attachments = [] }: Payload): DraftAttachment[] {
  let contents = 0;
  const invite = attachments.findIndex(({ content_type = "" }) => isInvite(content_type));
  return attachments.map((attachment, index) => ({
    filename: attachmentName(attachment),
    contentType: attachment.content_type === undefined ? null : withCharset(attachment.content_type),
    contentId: attachment.content_id ?? null,
    calendar: index === invite,
    md5: attachment.content_md5 ?? null,
    source: sourceOf(attachment) ?? { kind: "content", index: contents++ },
  }));
}

/** Null: its content was posted with it. */
function sourceOf({ url, storage_path, fetch_mode, s3, ...rest }: StoredAttachment): AttachmentSource | null {
  const auth = rest.auth ?? null;
  if (url !== undefined) return { kind: "url", url, auth };
  if (storage_path !== undefined)
    return fetch_mode === "http_url"
      ? { kind: "url", url: storage_path, auth }
      : { kind: "endpoint", path: storage_path, auth };
  return s3 === undefined ? null : { kind: "s3", bucket: s3.bucket, key: s3.key, versionId: s3.version_id ?? null };
}
