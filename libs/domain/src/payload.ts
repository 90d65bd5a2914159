import type { OnAmbiguous } from "./account.ts";
import type { ReadAttachment, StoredAttachment } from "./attachment.ts";
import type { ListUnsubscribe } from "./list-unsubscribe.ts";
import type { RawMessage } from "./message-schema.ts";
import { oneLine } from "./read.ts";

/** The accepted fields of a message, by the contract's names and in the shapes the client sent; what a record shows. */
export type Payload = {
  id: string;
  account_id?: string;
  batch_code?: string;
  from: string;
  to: string | string[];
  cc?: string | string[];
  bcc?: string | string[];
  reply_to?: string | string[];
  return_path?: string;
  subject: string;
  body?: string;
  html?: string;
  content_type?: string;
  headers?: Record<string, string>;
  list_unsubscribe?: ListUnsubscribe;
  message_id?: string;
  attachments?: StoredAttachment[];
  priority?: number;
  deferred_ts?: number;
  expires_ts?: number;
  on_ambiguous?: OnAmbiguous;
};

/** The fields that were read one by one. */
export type ReadFields = {
  headers: Record<string, string>;
  attachments: ReadAttachment[];
  listUnsubscribe: ListUnsubscribe | null;
};

/** What is kept of a message: null and empty fields are as if they had not been sent. */
export function toPayload(raw: RawMessage, { headers, attachments, listUnsubscribe }: ReadFields): Payload {
  const payload: Payload = { id: raw.id, from: raw.from, to: raw.to, subject: oneLine(raw.subject) };
  if (raw.account_id) payload.account_id = raw.account_id;
  if (raw.batch_code) payload.batch_code = raw.batch_code;
  if (raw.cc?.length) payload.cc = raw.cc;
  if (raw.bcc?.length) payload.bcc = raw.bcc;
  if (raw.reply_to?.length) payload.reply_to = raw.reply_to;
  if (raw.return_path?.trim()) payload.return_path = raw.return_path;
  if (raw.body) payload.body = raw.body;
  if (raw.html) payload.html = raw.html;
  if (raw.content_type) payload.content_type = raw.content_type;
  if (raw.headers && Object.keys(headers).length > 0) payload.headers = headers;
  if (listUnsubscribe !== null) payload.list_unsubscribe = listUnsubscribe;
  if (attachments.length > 0) payload.attachments = attachments.map(({ stored }) => stored);
  if (raw.deferred_ts) payload.deferred_ts = raw.deferred_ts;
  if (raw.expires_ts) payload.expires_ts = raw.expires_ts;
  if (raw.on_ambiguous) payload.on_ambiguous = raw.on_ambiguous;
  return payload;
}

/** Bytes of its texts, roughly what storing it takes. */
export function sizeOf(value: unknown): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (typeof value !== "object" || value === null) return 8;
  let bytes = 0;
  for (const field in value) bytes += field.length + 8 + sizeOf(value[field as keyof typeof value]);
  return bytes;
}
