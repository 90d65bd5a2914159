import { randomBytes } from "node:crypto";
import { needsSmtpUtf8 } from "@async-mail/domain/address";
import { type Draft, toDraft } from "@async-mail/domain/draft";
import { headerText } from "@async-mail/domain/header-text";
import type { Payload } from "@async-mail/domain/message";
import { toDate } from "@async-mail/runtime/clock";
import * as base64 from "nodemailer/lib/base64";
import * as qp from "nodemailer/lib/qp";
import type { Hole } from "./composed.ts";

/** How an attachment's bytes leave: base64, or, of a text that is lines of ASCII already, as they are. */
export type AttachedAs = "base64" | "7bit";

/** All that a message is made of, but for the bytes of its attachments. */
export type ComposeTask = {
  payload: Payload;
  /** With angle brackets. */
  messageId: string;
  /** Wall ms. */
  dateMs: number;
  /** One for each attachment. */
  attachedAs: AttachedAs[];
};

/** A value in either case: errors lose what they carry between threads. `text` has a hole where an attachment belongs. */
export type ComposeAnswer =
  | { ok: true; sender: string; text: Uint8Array; holes: Hole[]; smtpUtf8: string | null }
  | { ok: false; permanent: boolean; reason: string };

/** What a payload's own fault comes to. */
export function uncomposable(error: unknown): ComposeAnswer {
  return { ok: false, permanent: true, reason: `no mail could be made of it: ${error}` };
}

/**
 * A message of texts alone, as most are: written here, since the library that knows all of MIME takes ten times as long
 * for these. Throws on a payload that parseMessage would have refused.
 */
export function composeTexts({ payload, messageId, dateMs }: ComposeTask): ComposeAnswer {
  const draft = toDraft(payload);
  const headers = headerText(draft);
  const date = toDate(dateMs).toUTCString().replace("GMT", "+0000");
  const text = `${headers}Message-ID: ${messageId}\r\nDate: ${date}\r\nMIME-Version: 1.0\r\n${body(draft)}`;
  return { ok: true, text: Buffer.from(text), holes: [], ...envelopeOf(draft, headers) };
}

/** What the envelope takes from the draft. */
export function envelopeOf(draft: Draft, headers: string): { sender: string; smtpUtf8: string | null } {
  return { sender: draft.returnPath ?? draft.from.address, smtpUtf8: beyondAscii(draft, headers) };
}

/** RFC 6531: such an address may only go to a server that says it can take it. */
function beyondAscii(draft: Draft, headers: string): string | null {
  const { from, to, cc, bcc, replyTo, returnPath } = draft;
  for (const address of [returnPath ?? "", from.address]) if (needsSmtpUtf8(address)) return address;
  for (const list of [to, cc, bcc, replyTo]) {
    const found = list.find(({ address }) => needsSmtpUtf8(address));
    if (found !== undefined) return found.address;
  }
  return needsSmtpUtf8(headers) ? "in the headers" : null;
}

/** The one text, or two ways to read the same (RFC 2046 §5.1.4). */
function body({ text, html }: Draft): string {
  const parts = [...(text === null ? [] : [part("plain", text)]), ...(html === null ? [] : [part("html", html)])];
  const [only, second] = parts;
  if (second === undefined) return atLineEnd(only ?? part("plain", ""));
  // Nobody guesses it, so that no text of a client's can hold it.
  const boundary = `--_${randomBytes(12).toString("hex")}`;
  const delimited = parts.map((one) => `--${boundary}\r\n${one}\r\n`).join("");
  return `Content-Type: multipart/alternative;\r\n boundary="${boundary}"\r\n\r\n${delimited}--${boundary}--\r\n`;
}

function atLineEnd(text: string): string {
  return text.endsWith("\r\n") ? text : `${text}\r\n`;
}

function part(subtype: "plain" | "html", text: string): string {
  const { encoding, encoded } = transferred(text);
  return `Content-Type: text/${subtype}; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${encoded}`;
}

/** All that is neither printable ASCII nor a line break or tab. */
const FOREIGN = /[^\t\r\n\x20-\x7e]/g;
const LONGEST_LINE = 76;
/** RFC 2045 §6.7: white space at the end of a line is only safe when it is encoded. */
const SPACE_AT_LINE_END = /[ \t](?:\r|$)/;

/** As it is where every server lets it pass so; else readable to those who see it as it is, if most of it is ASCII. */
function transferred(text: string): { encoding: string; encoded: string } {
  const foreign = text.match(FOREIGN)?.length ?? 0;
  if (foreign === 0 && !hasLongLine(text) && !SPACE_AT_LINE_END.test(text)) return { encoding: "7bit", encoded: text };
  if (foreign * 2 < text.length) return { encoding: "quoted-printable", encoded: qp.wrap(qp.encode(text)) };
  return { encoding: "base64", encoded: base64.wrap(base64.encode(text)) };
}

/** By hand: a pattern would look at each line from each of its characters on. */
function hasLongLine(text: string): boolean {
  let from = 0;
  for (let end = text.indexOf("\r\n"); end >= 0; end = text.indexOf("\r\n", from)) {
    if (end - from > LONGEST_LINE) return true;
    from = end + 2;
  }
  return text.length - from > LONGEST_LINE;
}
