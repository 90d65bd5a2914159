import { randomBytes } from "node:crypto";
import { type Draft, type DraftAttachment, toDraft } from "@async-mail/domain/draft";
import { headerText } from "@async-mail/domain/header-text";
import { toDate } from "@async-mail/runtime/clock";
import MailComposer, { type MailComposerAttachment } from "nodemailer/lib/mail-composer";
import { move, transferableSymbol, valueSymbol } from "piscina";
import { isMessage } from "./attachments/message-lines.ts";
import type { Hole } from "./composed.ts";
import {
  type AttachedAs,
  type ComposeAnswer,
  type ComposeTask,
  composeTexts,
  envelopeOf,
  uncomposable,
} from "./mime-text.ts";

/** Messages as MIME: what the pool's threads run. Several at a time, since each crossing to a thread has its price. */
export default async function compose(tasks: ComposeTask[]): Promise<unknown> {
  return handedOver(await Promise.all(tasks.map(composeSafely)));
}

async function composeSafely(task: ComposeTask): Promise<ComposeAnswer> {
  try {
    return await composed(task);
  } catch (error) {
    return uncomposable(error);
  }
}

async function composed(task: ComposeTask): Promise<ComposeAnswer> {
  if (task.attachedAs.length === 0) return composeTexts(task);
  const draft = toDraft(task.payload);
  const marks = draft.attachments.map(() => randomBytes(MARK_BYTES));
  const headers = headerText(draft);
  const marked = Buffer.concat([Buffer.from(headers), await build(draft, task, marks)]);
  const { text, holes } = cutAt(
    marked,
    draft.attachments.map((_, index) => written(marks[index]!, task.attachedAs[index]!)),
  );
  return { ok: true, text, holes, ...envelopeOf(draft, headers) };
}

/** Nobody guesses them, so that no text of a client's can hold one; one line as base64. */
const MARK_BYTES = 48;

/** A mark as it stands in the text. */
function written(mark: Buffer, attachedAs: AttachedAs): string {
  return attachedAs === "7bit" ? mark.toString("hex") : mark.toString("base64");
}

/** Takes the marks out; where they stood are the holes, from the first to the last. */
function cutAt(marked: Buffer, marks: string[]): { text: Uint8Array; holes: Hole[] } {
  const found = marks.map((mark, attachment) => ({ mark, attachment, at: marked.indexOf(mark, 0, "latin1") }));
  const missing = found.find(({ at }) => at === -1);
  if (missing !== undefined) throw new Error(`attachments[${missing.attachment}] has no place in the message`);
  found.sort((a, b) => a.at - b.at);
  const holes: Hole[] = [];
  const pieces: Buffer[] = [];
  let from = 0;
  let length = 0;
  for (const { mark, attachment, at } of found) {
    length += at - from;
    pieces.push(marked.subarray(from, at));
    holes.push({ at: length, attachment });
    from = at + mark.length;
  }
  return { text: Buffer.concat([...pieces, marked.subarray(from)]), holes };
}

/**
 * What follows the headers of the message's own: Message-ID, Date and MIME. Every field is set by name, since nodemailer
 * would read files and URLs for a client that could set others.
 */
async function build(draft: Draft, { messageId, dateMs, attachedAs }: ComposeTask, marks: Buffer[]): Promise<Buffer> {
  const attached = draft.attachments.map((one, index) => ({ ...one, mark: marks[index]!, as: attachedAs[index]! }));
  const composer = new MailComposer({
    messageId,
    date: toDate(dateMs),
    alternatives: [...bodies(draft), ...attached.filter(({ calendar }) => calendar).map(invitation)],
    attachments: attached.filter(({ calendar }) => !calendar).map(attachment),
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return await composer.compile().build();
}

/** Set this way rather than as `text` and `html`, since an empty text would not become a part. */
function bodies({ text, html }: Draft) {
  return [
    ...(text === null ? [] : [{ contentType: "text/plain; charset=utf-8", content: text, ...encodingOf(text) }]),
    ...(html === null ? [] : [{ contentType: "text/html; charset=utf-8", content: html, ...encodingOf(html) }]),
  ];
}

/** RFC 2045 §6.7: white space at the end of a line is only safe when it is encoded. */
function encodingOf(text: string): { contentTransferEncoding?: "quoted-printable" } {
  return /[ \t](?:\r|$)/.test(text) ? { contentTransferEncoding: "quoted-printable" } : {};
}

type Marked = DraftAttachment & { mark: Buffer; as: AttachedAs };

/** Where mail programs look for one: beside the texts, as another way to say the same. */
function invitation({ contentType, mark }: Marked) {
  return { contentType: contentType ?? "text/calendar", content: mark, contentTransferEncoding: "base64" };
}

function attachment({ filename, contentType, contentId, mark, as }: Marked): MailComposerAttachment {
  const isMail = isMessage({ filename, contentType });
  // RFC 2046 §5.2.1: a message inside a message may not be base64. One that has to be is a file like any other.
  const type = isMail && as === "base64" ? "application/octet-stream" : contentType;
  return {
    filename,
    content: as === "7bit" ? mark.toString("hex") : mark,
    contentTransferEncoding: as,
    ...(type === null ? {} : { contentType: type }),
    ...(contentId === null ? {} : { cid: contentId }),
    // Else mail programs show it as part of the text, not as the file that it is.
    ...(isMail ? { contentDisposition: "attachment" } : {}),
  };
}

/** Lets the texts change threads without a copy. Small Buffers share a pool that may not be given away. */
function handedOver(answers: ComposeAnswer[]): unknown {
  const value = answers.map((answer) => (answer.ok ? { ...answer, text: ownBuffer(answer.text) } : answer));
  const buffers = value.flatMap((answer) => (answer.ok ? [answer.text.buffer] : []));
  return move({
    get [transferableSymbol]() {
      return buffers;
    },
    get [valueSymbol]() {
      return value;
    },
  } as unknown as ArrayBuffer);
}

function ownBuffer(text: Uint8Array): Uint8Array {
  return text.length === text.buffer.byteLength ? text : new Uint8Array(text);
}
