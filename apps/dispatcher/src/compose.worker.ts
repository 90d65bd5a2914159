import { type Draft, type DraftAttachment, toDraft } from "@async-mail/domain/draft";
import type { Payload } from "@async-mail/domain/message";
import { toDate } from "@async-mail/runtime/clock";
import MailComposer, { type MailComposerAttachment } from "nodemailer/lib/mail-composer";
import { move, transferableSymbol, valueSymbol } from "piscina";
import { type AttachmentLimits, type Fetched, fetchAttachment } from "./attachments.ts";

export type ComposeLimits = AttachmentLimits & {
  /** Of the whole message, as it leaves. */
  maxMessageBytes: number;
};

/** All that a message is made of. */
export type ComposeTask = {
  payload: Payload;
  /** With angle brackets. */
  messageId: string;
  /** Wall ms. */
  dateMs: number;
  contents: Uint8Array[];
  limits: ComposeLimits;
};

export type AttachmentCount = { source: DraftAttachment["source"]["kind"]; outcome: "fetched" | "failed" };

/** A value in either case: errors lose what they carry between threads. */
export type ComposeAnswer = (
  | { ok: true; sender: string; raw: Uint8Array }
  | { ok: false; permanent: boolean; reason: string }
) & { attachments: AttachmentCount[] };

/** Messages as MIME: what the pool's threads run. Several at a time, since each crossing to a thread has its price. */
export default async function compose(tasks: ComposeTask[]): Promise<unknown> {
  return handedOver(await Promise.all(tasks.map(composeSafely)));
}

async function composeSafely(task: ComposeTask): Promise<ComposeAnswer> {
  try {
    return await composed(task);
  } catch (error) {
    return { ok: false, permanent: true, reason: `no mail could be made of it: ${error}`, attachments: [] };
  }
}

async function composed(task: ComposeTask): Promise<ComposeAnswer> {
  const draft = toDraft(task.payload);
  const fetched = await Promise.all(draft.attachments.map((one) => fetchAttachment(one, task.contents, task.limits)));
  const attachments = draft.attachments.map(({ source }, index) => countOf(source.kind, fetched[index]));
  const failed = worstOf(fetched);
  if (failed !== undefined) return { ...failed, attachments };
  const raw = await build(
    draft,
    task,
    fetched.map((one) => (one.ok ? one.bytes : new Uint8Array())),
  );
  if (raw.length > task.limits.maxMessageBytes) return { ...tooLarge(raw.length, task.limits), attachments };
  return { ok: true, sender: draft.returnPath ?? draft.from.address, raw, attachments };
}

function countOf(source: AttachmentCount["source"], fetched: Fetched | undefined): AttachmentCount {
  return { source, outcome: fetched?.ok ? "fetched" : "failed" };
}

/** What can never succeed decides over what might. */
function worstOf(fetched: Fetched[]): Extract<Fetched, { ok: false }> | undefined {
  const failed = fetched.filter((one) => !one.ok);
  return failed.find((one) => one.permanent) ?? failed[0];
}

function tooLarge(bytes: number, { maxMessageBytes }: ComposeLimits) {
  const reason = `message too large: ${bytes} bytes, attachments.max_message_bytes allows at most ${maxMessageBytes}`;
  return { ok: false, permanent: true, reason } as const;
}

/**
 * Every field is set by name: nodemailer would read files and URLs for a client that could set others. Bcc is not in
 * the text at all; its recipients are in the envelope.
 */
async function build(draft: Draft, { messageId, dateMs }: ComposeTask, contents: Uint8Array[]): Promise<Buffer> {
  const composer = new MailComposer({
    from: draft.from,
    to: draft.to,
    cc: draft.cc,
    replyTo: draft.replyTo,
    subject: draft.subject,
    messageId,
    date: toDate(dateMs),
    headers: draft.headers.map(([key, value]) => ({ key, value })),
    alternatives: alternatives(draft),
    attachments: draft.attachments.map((one, index) => attachment(one, contents[index] as Uint8Array)),
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return await composer.compile().build();
}

/** Set this way rather than as `text` and `html`, since an empty text would not become a part. */
function alternatives({ text, html }: Draft) {
  const parts = [];
  if (text !== null) parts.push({ contentType: "text/plain; charset=utf-8", content: text });
  if (html !== null) parts.push({ contentType: "text/html; charset=utf-8", content: html });
  return parts;
}

function attachment({ filename, contentType, contentId }: DraftAttachment, bytes: Uint8Array): MailComposerAttachment {
  return {
    filename,
    content: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    ...(contentType === null ? {} : { contentType }),
    ...(contentId === null ? {} : { cid: contentId }),
  };
}

/** Lets the raw messages change threads without a copy. Small Buffers share a pool that may not be given away. */
function handedOver(answers: ComposeAnswer[]): unknown {
  const value = answers.map((answer) => (answer.ok ? { ...answer, raw: ownBuffer(answer.raw) } : answer));
  const buffers = value.flatMap((answer) => (answer.ok ? [answer.raw.buffer] : []));
  return move({
    get [transferableSymbol]() {
      return buffers;
    },
    get [valueSymbol]() {
      return value;
    },
  } as unknown as ArrayBuffer);
}

function ownBuffer(raw: Uint8Array): Uint8Array {
  return raw.length === raw.buffer.byteLength ? raw : new Uint8Array(raw);
}
