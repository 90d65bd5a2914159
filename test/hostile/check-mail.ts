import { domainToASCII } from "node:url";
import type { Mailbox } from "@async-mail/domain/address";
import { type Draft, toDraft } from "@async-mail/domain/draft";
import { isEncodedWord } from "@async-mail/domain/encoded-word";
import type { Message } from "@async-mail/domain/message";
import { type AddressObject, type ParsedMail, simpleParser } from "mailparser";
import { DATE_MS } from "./written-mail.ts";

const LONGEST_LINE = 998;
/** In a subject, such words are cut by encoding all that is beside them too. */
const LONG_WORD = /[^ ]{400}/;
/** Of any reader. */
const LINE_END = /[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/;
/** An address as RCPT TO may carry it between its brackets: a dot-atom or a quoted string, and a domain. */
const SAFE = /^(?:[^\s<>"\\(),:;@[\]\x00-\x20\x7f]+|"[\x20\x21\x23-\x3b\x3d\x3f\x41-\x5b\x5d-\x7e]+")@[\w.-]+$/;

/** What is wrong with the mail made of an accepted message, as an independent reader reads it; empty: nothing. */
export async function faultsOfMail(message: Message, raw: Buffer): Promise<string[]> {
  const draft = toDraft(message.payload);
  const mail = await simpleParser(raw, { skipHtmlToText: true, skipTextToHtml: true, skipImageLinks: true });
  return [
    ...faultsOfLines(raw),
    ...(await faultsOfHeaders(mail)),
    ...faultsOfEnvelope(message, draft),
    ...different("header names", headerNames(raw), expectedNames(draft)),
    ...different("from", addresses(mail.from), mailboxes([draft.from])),
    ...different("to", addresses(mail.to), mailboxes(draft.to)),
    ...different("cc", addresses(mail.cc), mailboxes(draft.cc)),
    ...different("bcc", mail.bcc, undefined),
    ...different(
      "subject",
      spaced(mail.subject ?? ""),
      spaced(LONG_WORD.test(draft.subject) ? draft.subject.toWellFormed() : shown(draft.subject)),
    ),
    ...different("message-id", mail.messageId, message.messageId),
    ...different("date", mail.date?.getTime(), DATE_MS),
    ...different("text", text(mail.text), text(draft.text)),
    ...different("html", text(mail.html || undefined), text(draft.html)),
    ...different("attachments", attached(mail), expectedAttachments(draft, message.contents)),
  ];
}

function different(what: string, actual: unknown, expected: unknown): string[] {
  const [is, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  return is === wanted ? [] : [`${what}: ${cut(is)} instead of ${cut(wanted)}`];
}

function cut(text = "undefined"): string {
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
}

function faultsOfLines(raw: Buffer): string[] {
  const text = raw.toString("latin1");
  const faults: string[] = [];
  if (/\r(?!\n)|(?<!\r)\n/.test(text)) faults.push("a line break that is no CRLF");
  if (text.includes("\0")) faults.push("a NUL");
  const longest = Math.max(...text.split("\r\n").map((line) => line.length));
  if (longest > LONGEST_LINE) faults.push(`a line of ${longest} octets`);
  return faults;
}

/** The reader decodes all that looks like an encoded word in a subject, so each header is read as one. */
async function faultsOfHeaders({ headerLines }: ParsedMail): Promise<string[]> {
  const faults: string[] = [];
  for (const { key, line } of headerLines.filter((one) => one.line.includes("=?"))) {
    // A line has an octet for each character.
    const asSubject = Buffer.from(`Subject:${line.slice(line.indexOf(":") + 1)}\r\n\r\n`, "latin1");
    const { subject = "" } = await simpleParser(asSubject);
    if (LINE_END.test(subject)) faults.push(`${key} is read as several lines: ${cut(JSON.stringify(subject))}`);
  }
  return faults;
}

function faultsOfEnvelope({ recipients }: Message, { from, to, cc, bcc, returnPath }: Draft): string[] {
  const asked = new Set([...to, ...cc, ...bcc].map(({ address }) => key(address)));
  const faults = different("recipients", recipients.map(key).toSorted(), [...asked].toSorted());
  const unsafe = [...recipients, returnPath || from.address].filter((one) => !SAFE.test(one) || !one.isWellFormed());
  return unsafe.length === 0 ? faults : [...faults, `not safe in RCPT TO: ${JSON.stringify(unsafe)}`];
}

function key(address: string): string {
  const at = address.lastIndexOf("@");
  return address.slice(0, at).normalize() + address.slice(at).toLowerCase();
}

/** As they stand in the mail, but for how a part is written, which is nodemailer's. */
function headerNames(raw: Buffer): string[] {
  const head = raw.subarray(0, raw.indexOf("\r\n\r\n")).toString("latin1");
  const names = head.split(/\r\n(?![ \t])/).map((line) => line.slice(0, line.indexOf(":")));
  const ofPart = ["Content-Type", "Content-Transfer-Encoding"];
  return names.filter((name) => !ofPart.includes(name)).toSorted();
}

function expectedNames({ cc, replyTo, headers }: Draft): string[] {
  return [
    ...["From", "To", "Subject", "Message-ID", "Date", "MIME-Version"],
    ...(cc.length > 0 ? ["Cc"] : []),
    ...(replyTo.length > 0 ? ["Reply-To"] : []),
    ...headers.map(([name]) => name),
  ].toSorted();
}

function addresses(field: AddressObject | AddressObject[] | undefined): [string, string][] {
  return [field ?? []]
    .flat()
    .flatMap((one) => one.value.map(({ name, address = "" }) => [spaced(name), ascii(address)]));
}

function mailboxes(given: Mailbox[]): [string, string][] {
  return given.map(({ name, address }) => [
    spaced(ATOMS.test(name) ? shown(name) : name.toWellFormed()),
    ascii(address),
  ]);
}

/** Only in these may a name before an address hold an encoded word (RFC 2047 §5.3). */
const ATOMS = /^[\w!#$%&'*+/=?^`{|}~ -]*$/;

/** The reader shows punycode as letters. */
function ascii(address: string): string {
  const at = address.lastIndexOf("@");
  return `${address.slice(0, at)}@${domainToASCII(address.slice(at + 1)).toLowerCase()}`;
}

/** As a reader shows it: what the client encoded itself, and nothing beside it, is decoded. */
function shown(text: string): string {
  const words = text.trim().split(/ +/);
  const ownWords = /^[\x20-\x7e]*$/.test(text) && words.every((word) => !word.includes("=?") || isEncodedWord(word));
  return ownWords ? words.map((word) => (isEncodedWord(word) ? decoded(word) : word)).join(" ") : text.toWellFormed();
}

function decoded(word: string): string {
  const [, , encoding = "", text = ""] = word.split("?");
  if (encoding.toLowerCase() === "b") return Buffer.from(text, "base64").toString();
  return text
    .replaceAll("_", " ")
    .replace(/=([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function spaced(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

function text(given: string | null | undefined): string {
  return (given ?? "").toWellFormed().replace(/\r\n/g, "\n").replace(/\n$/, "");
}

function attached(mail: ParsedMail): unknown[] {
  return mail.attachments.map(({ filename, content, cid }) => [filename, content.toString("base64"), cid]).toSorted();
}

function expectedAttachments({ attachments }: Draft, contents: Uint8Array[]): unknown[] {
  return attachments
    .map(({ filename, contentId, calendar }, index) => [
      calendar ? undefined : filename,
      Buffer.from(contents[index] as Uint8Array).toString("base64"),
      calendar ? undefined : (contentId ?? undefined),
    ])
    .toSorted();
}
