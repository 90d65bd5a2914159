import { domainToASCII } from "node:url";
import { type Chance, chance } from "../support/random.ts";
import { type ReadAddress, type ReadAttachment, type ReadMail, sha256 } from "./read-mail.ts";
import { ADDRESSES, BODIES, FILE_NAMES, HEADER_VALUES, NAMES, SUBJECTS } from "./written-texts.ts";

/** Puts a file where a message's attachment will find it; answers the attachment's source. */
export type Store = Record<"content" | "url" | "s3", (path: string, bytes: Buffer) => Promise<object>>;

/** A message as a client posts it, and how it has to arrive. */
export type Generated = { posted: { id: string } & Record<string, unknown>; wanted: ReadMail };

const SOURCES = ["content", "url", "s3"] as const;

type Attached = { posted: object; wanted: ReadAttachment };

/** The same message for the same seed and number. Its files are stored when it is answered. */
export async function generatedMessage(seed: string, number: number, store: Store): Promise<Generated> {
  const dice = chance(seed, number);
  const id = `message-${number}`;
  const body = dice.pick(BODIES);
  const html = `<p>${dice.pick(BODIES)}</p>`;
  const kind = dice.pick(["plain", "html", "both"] as const);
  const [from, to, cc] = [[mailbox(dice)], mailboxes(dice, 1), mailboxes(dice, 0)];
  const subject = dice.pick(SUBJECTS);
  const headers = ownHeaders(dice);
  const attached = await attachments(dice, id, kind !== "plain", store);
  return {
    posted: {
      id,
      from: written(from[0] as ReadAddress),
      to: to.map(written),
      cc: cc.map(written).join(", "),
      bcc: "hidden@example.net",
      subject,
      ...{ plain: { body }, html: { body: html, content_type: "html" }, both: { body, html } }[kind],
      headers,
      attachments: attached.map(({ posted }) => posted),
    },
    wanted: {
      names: namesOf(headers, cc.length > 0),
      subject: oneLine(subject),
      from: from.map(inAscii),
      to: to.map(inAscii),
      cc: cc.map(inAscii),
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, oneLine(value)])),
      text: kind === "html" || (kind === "both" && body === "") ? null : body,
      html: kind === "plain" ? null : html,
      attachments: attached.map(({ wanted }) => wanted),
    },
  };
}

function mailboxes(dice: Chance, least: number): ReadAddress[] {
  return Array.from({ length: dice.whole(least, 3) }, () => mailbox(dice));
}

function mailbox(dice: Chance): ReadAddress {
  return [dice.pick(NAMES), dice.pick(ADDRESSES)];
}

function written([name, address]: ReadAddress): string {
  return name === "" ? address : `"${name.replace(/["\\]/g, "\\$&")}" <${address}>`;
}

function inAscii([name, address]: ReadAddress): ReadAddress {
  const at = address.lastIndexOf("@");
  return [name, `${address.slice(0, at)}@${domainToASCII(address.slice(at + 1))}`];
}

function ownHeaders(dice: Chance): Record<string, string> {
  const count = dice.whole(0, 4);
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`X-Own-${index}`, dice.pick(HEADER_VALUES)]));
}

function namesOf(headers: object, hasCc: boolean): string[] {
  const always = ["From", "To", "Subject", "Message-ID", "Date", "MIME-Version"];
  return [...always, ...(hasCc ? ["Cc"] : []), ...Object.keys(headers)].toSorted();
}

function oneLine(text: string): string {
  return text.replace(/\r\n|\r|\n/g, " ").trim();
}

async function attachments(dice: Chance, id: string, withHtml: boolean, store: Store): Promise<Attached[]> {
  const count = dice.weighted([
    [5, 0],
    [6, 1],
    [3, 3],
    [1, 20],
  ] as const);
  const files = Array.from({ length: count }, (_, index) => file(dice, `${id}/${index}`, withHtml, store));
  const invited = dice.happens(0.1) ? [invite(dice, `${id}/invite`, store)] : [];
  const forwarded = dice.happens(0.1) ? [forward(dice, `${id}/forwarded`, store)] : [];
  return await Promise.all([...files, ...invited, ...forwarded]);
}

async function file(dice: Chance, folder: string, withHtml: boolean, store: Store): Promise<Attached> {
  const name = dice.pick(FILE_NAMES);
  const bytes = content(dice);
  // The S3 server keeps its objects under their names, with some letters more.
  const kind = dice.pick(Buffer.byteLength(name) > 200 ? (["content", "url"] as const) : SOURCES);
  const unnamed = kind !== "content" && dice.happens(0.3);
  const contentId = withHtml && dice.happens(0.3) ? `${folder.replace("/", ".")}@example` : null;
  const type = contentId === null ? dice.pick(TYPES) : "image/png";
  const described = { content_type: type, ...(unnamed ? {} : { filename: name }), content_id: contentId };
  return {
    posted: { ...described, ...(await store[kind](`${folder}/${name}`, bytes)) },
    wanted: { name, type: type.replace(/;.*/, ""), cid: contentId, sha256: sha256(bytes) },
  };
}

// Not application/octet-stream: mailparser then shows the type that the name stands for.
const TYPES = ["application/pdf", 'application/x-data; version="1.0; beta"', "text/plain; charset=iso-8859-1"];

async function invite(dice: Chance, folder: string, store: Store): Promise<Attached> {
  const text = `BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nSUMMARY:${dice.pick(["Besprechung über 日本", "Lunch"])}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n`;
  const kind = dice.pick(["content", "url", "s3"] as const);
  return {
    posted: {
      content_type: "text/calendar; method=REQUEST",
      ...(await store[kind](`${folder}/invite.ics`, Buffer.from(text))),
    },
    wanted: { name: null, type: "text/calendar", cid: null, sha256: sha256(Buffer.from(text)) },
  };
}

async function forward(dice: Chance, folder: string, store: Store): Promise<Attached> {
  const text = "From: a@example.com\r\nTo: b@example.com\r\nSubject: Hello\r\n\r\nDear B,\r\n.\r\nGreetings\r\n";
  const source = await store[dice.pick(SOURCES)](`${folder}/forwarded.eml`, Buffer.from(text));
  return {
    posted: { filename: "forwarded.eml", ...source },
    wanted: { name: "forwarded.eml", type: "message/rfc822", cid: null, sha256: sha256(Buffer.from(text)) },
  };
}

const LARGE = 5 * 1024 * 1024;

function content(dice: Chance): Buffer {
  const bytes = dice.weighted([
    [2, 0],
    [3, dice.whole(1, 60)],
    [9, dice.whole(1, 20_000)],
    [0.1, LARGE],
  ] as const);
  const block = Buffer.from(Array.from({ length: Math.min(bytes, 4099) }, () => dice.whole(0, 255)));
  return Buffer.alloc(bytes, bytes === 0 ? undefined : block);
}
