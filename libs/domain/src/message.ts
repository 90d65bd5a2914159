import * as v from "valibot";
import type { OnAmbiguous } from "./account.ts";
import { domainOf } from "./address.ts";
import { type AttachmentLimits, readAttachments } from "./attachments.ts";
import { type Draft, readDraft, recipientsOf } from "./draft.ts";
import { faultOfHeaderLength, faultOfHeaderSize } from "./header-size.ts";
import { readHeaders } from "./headers.ts";
import { pathOf, pathText } from "./issues.ts";
import { readListUnsubscribe } from "./list-unsubscribe.ts";
import { readMessageId } from "./message-id.ts";
import {
  ATTACHMENT_FIELDS,
  LIST_UNSUBSCRIBE_FIELDS,
  MESSAGE_FIELDS,
  MessageSchema,
  type RawMessage,
  S3_FIELDS,
} from "./message-schema.ts";
import { type Payload, sizeOf, toPayload } from "./payload.ts";
import { PRIORITY_WORDS, type Priority, parsePriority } from "./priority.ts";
import { bad, good, quote, type Read } from "./read.ts";
import { readDeferredMs, readExpiresMs } from "./send-times.ts";
import { unknownFields } from "./unknown-fields.ts";

export type { StoredAttachment } from "./attachment.ts";
export { AttachmentSchema, MessageSchema } from "./message-schema.ts";
export type { Payload } from "./payload.ts";
export { type Priority, parsePriority } from "./priority.ts";

/** A message that passed every check and only waits to be stored. */
export type Message = {
  id: string;
  /** null: the default account. */
  accountId: string | null;
  /** null: none. */
  batchCode: string | null;
  priority: Priority;
  /** Epoch ms of the wall clock; null: now. Never in the past of the moment it was parsed. */
  deferredMs: number | null;
  expiresMs: number | null;
  onAmbiguous: OnAmbiguous | null;
  /** Fixed here, angle brackets included, so that a second send carries the same. */
  messageId: string;
  /** The envelope's recipients (to, cc, bcc), each once, ready for RCPT TO. */
  recipients: string[];
  payload: Payload;
  /** Decoded inline attachments, in the order of those attachments in `payload` that carry a `size`. */
  contents: Uint8Array[];
  /** Size of payload and contents together: what a claim weighs. */
  bytes: number;
};

/** Why a message was not taken, in the contract's words (§3.3). */
export type Rejection = { id: string | null; reason: string };

export type ParseContext = {
  /** Wall ms. */
  now: number;
  defaultPriority: Priority;
  /** A fresh Message-ID, angle brackets included. */
  newMessageId(domain: string): string;
} & AttachmentLimits;

export type ParseResult = { ok: true; message: Message; warnings: string[] } | { ok: false; rejection: Rejection };

const MAX_ID = 255;
const MAX_BATCH_CODE = 64;

/** One message of add-messages: all that it takes to queue it, or the reason why not. Contract §3.3. */
export function parseMessage(raw: unknown, context: ParseContext): ParseResult {
  if (!isObject(raw)) return refuse(null, "invalid payload");
  const id = typeof raw.id === "string" && raw.id !== "" ? raw.id : null;
  const missing = REQUIRED.find((field) => isMissing(field, raw[field]));
  if (missing !== undefined) return refuse(id, `missing ${missing}`);
  const tooLong = faultOfHeaderLength(raw);
  if (tooLong !== null) return refuse(id, `invalid headers: ${tooLong}`);
  const shaped = readShape(raw);
  if (!shaped.ok) return refuse(id, `invalid ${shaped.fault}`);
  const read = readMessage(shaped.value, context);
  if (!read.ok) return refuse(id, `invalid ${read.fault}`);
  return { ok: true, message: read.value.message, warnings: [...unknownFieldsOf(raw), ...read.value.warnings] };
}

function refuse(id: string | null, reason: string): ParseResult {
  return { ok: false, rejection: { id, reason } };
}

function isObject(raw: unknown): raw is Record<string, unknown> {
  return typeof raw === "object" && raw !== null && !Array.isArray(raw);
}

/** In the order in which they are asked for. */
const REQUIRED = ["id", "from", "to", "subject"] as const;

function isMissing(field: (typeof REQUIRED)[number], value: unknown): boolean {
  if (isAbsent(value)) return true;
  if (field === "subject") return false;
  if (field === "to" && Array.isArray(value)) return value.every((entry) => entry === null || isBlank(entry));
  return isBlank(value);
}

function isBlank(value: unknown): boolean {
  return typeof value === "string" && !/[^\s,]/.test(value);
}

function readShape(raw: Record<string, unknown>): Read<RawMessage> {
  // To valibot a list is a record too.
  if (Array.isArray(raw.headers)) return bad("headers: not an object");
  const parsed = v.safeParse(MessageSchema, raw, { abortEarly: true });
  // Valibot leaves names such as __proto__ out of a record.
  if (parsed.success) return good({ ...parsed.output, headers: raw.headers as RawMessage["headers"] });
  const issue = parsed.issues[0];
  return bad(`${pathText(pathOf(issue))}: ${issue.received === "undefined" ? "missing" : issue.message}`);
}

/** The values, one by one. The fault begins with the field's name. */
function readMessage(raw: RawMessage, context: ParseContext): Read<{ message: Message; warnings: string[] }> {
  const id = named("id", readId(raw.id));
  if (!id.ok) return id;
  const batchCode = named("batch_code", readBatchCode(raw.batch_code));
  if (!batchCode.ok) return batchCode;
  const terms = readTerms(raw, context);
  if (!terms.ok) return terms;
  const listUnsubscribe = raw.list_unsubscribe ? readListUnsubscribe(raw.list_unsubscribe) : good(null);
  if (!listUnsubscribe.ok) return listUnsubscribe;
  const own = { replyTo: Boolean(raw.reply_to?.length), listUnsubscribe: listUnsubscribe.value !== null };
  const headers = readHeaders(raw.headers ?? {}, own);
  if (!headers.ok) return headers;
  const attachments = readAttachments(raw.attachments ?? [], context);
  if (!attachments.ok) return attachments;
  const payload = toPayload(raw, {
    headers: headers.value.headers,
    attachments: attachments.value,
    listUnsubscribe: listUnsubscribe.value,
  });
  const draft = readDraft(payload);
  if (!draft.ok) return draft;
  const tooLarge = faultOfHeaderSize(payload, draft.value);
  if (tooLarge !== null) return bad(`headers: ${tooLarge}`);
  const messageId = named("message_id", readOwnMessageId(raw.message_id, draft.value, context));
  if (!messageId.ok) return messageId;
  if (raw.message_id) payload.message_id = messageId.value;
  if (!isAbsent(raw.priority)) payload.priority = terms.value.priority;
  const contents = attachments.value.flatMap(({ content }) => content ?? []);
  const message: Message = {
    id: raw.id,
    accountId: raw.account_id || null,
    batchCode: batchCode.value,
    ...terms.value,
    messageId: messageId.value,
    recipients: recipientsOf(draft.value),
    payload,
    contents,
    bytes: sizeOf(payload) + contents.reduce((sum, content) => sum + content.length, 0),
  };
  const warnings = [...headers.value.warnings, ...attachments.value.flatMap((one) => one.warnings)];
  return good({ message, warnings });
}

function readId(id: string): Read<string> {
  if (id.length > 2 * MAX_ID || [...id].length > MAX_ID) return bad(`longer than ${MAX_ID} characters`);
  if (id === "." || id === "..") return bad(`${quote(id)} cannot be asked for in a URL`);
  return id.isWellFormed() ? good(id) : bad("not well-formed Unicode");
}

/** Empty is none. */
function readBatchCode(code: string | null | undefined): Read<string | null> {
  if (!code) return good(null);
  if ([...code].length > MAX_BATCH_CODE) return bad(`longer than ${MAX_BATCH_CODE} characters`);
  if (code === "*") return bad("* stands for the whole tenant");
  return code.isWellFormed() ? good(code) : bad("not well-formed Unicode");
}

type Terms = Pick<Message, "priority" | "deferredMs" | "expiresMs" | "onAmbiguous">;

function readTerms(raw: RawMessage, context: ParseContext): Read<Terms> {
  const priority = isAbsent(raw.priority) ? context.defaultPriority : parsePriority(raw.priority);
  if (priority === null) return bad(`priority: ${quote(String(raw.priority))} is none of ${PRIORITY_WORDS}`);
  const deferredMs = named("deferred_ts", readDeferredMs(raw.deferred_ts, context.now));
  if (!deferredMs.ok) return deferredMs;
  const expiresMs = named("expires_ts", readExpiresMs(raw.expires_ts, context.now));
  if (!expiresMs.ok) return expiresMs;
  const onAmbiguous = raw.on_ambiguous ?? null;
  return good({ priority, deferredMs: deferredMs.value, expiresMs: expiresMs.value, onAmbiguous });
}

function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

function named<T>(field: string, read: Read<T>): Read<T> {
  return read.ok ? read : bad(`${field}: ${read.fault}`);
}

function readOwnMessageId(text: string | null | undefined, draft: Draft, context: ParseContext): Read<string> {
  const domain = domainOf(draft.from.address);
  return text ? readMessageId(text, domain) : good(context.newMessageId(domain));
}

function unknownFieldsOf(raw: Record<string, unknown>): string[] {
  const warnings = unknownFields(raw, MESSAGE_FIELDS);
  const { list_unsubscribe } = raw;
  if (isObject(list_unsubscribe))
    warnings.push(...unknownFields(list_unsubscribe, LIST_UNSUBSCRIBE_FIELDS, "list_unsubscribe."));
  const attachments = (raw.attachments ?? []) as Record<string, unknown>[];
  for (const [index, attachment] of attachments.entries()) {
    warnings.push(...unknownFields(attachment, ATTACHMENT_FIELDS, `attachments[${index}].`));
    if (isObject(attachment.s3)) warnings.push(...unknownFields(attachment.s3, S3_FIELDS, `attachments[${index}].s3.`));
  }
  return warnings;
}
