import { parseMailbox, parseMailboxes } from "./address.ts";
import { looksEncoded } from "./encoded-word.ts";
import { asciiWords, fitsLines, mailboxWords, textWords } from "./header-line.ts";
import { bad, good, oneLine, quote, type Read } from "./read.ts";

const OWNED = new Set([...["from", "to", "cc", "bcc", "subject", "date", "message-id", "received", "return-path"]]);
const OWNED_FAMILY = /^(?:mime|content|dkim)-/;
const UNSUBSCRIBE = new Set(["list-unsubscribe", "list-unsubscribe-post"]);

/** RFC 5322 §2.2: printable ASCII without the colon. Longer names would not leave room on the line. */
const NAME = /^[\x21-\x39\x3b-\x7e]{1,200}$/;
const MAX_COUNT = 200;

/** A reader looks for addresses in these, so that only a name in them may be encoded. */
const OF_ADDRESSES = new Set([
  ...["reply-to", "resent-from", "resent-to", "resent-cc", "resent-reply-to", "disposition-notification-to"],
]);
const OF_ONE_ADDRESS = new Set(["sender", "resent-sender"]);
/** Message-IDs and URIs: an encoded word would be read as one of them. */
const OF_ASCII = /^(?:in-reply-to|references|resent-message-id|list-(?!id$).*)$/;
/** RFC 5322 §3.6: readers differ in which of two they take. */
const SINGLE = new Set([...["sender", "reply-to", "in-reply-to", "references"], ...UNSUBSCRIBE]);

export type CustomHeaders = { headers: Record<string, string>; warnings: string[] };

/** Fields of the message that make a header of their own. */
export type OwnFields = { replyTo: boolean; listUnsubscribe: boolean };

/**
 * A client's own headers as text, each on one line; blank ones are left out, and so are, with a warning, those that
 * the service writes itself. The fault begins with `headers`.
 */
export function readHeaders(given: object, own: OwnFields): Read<CustomHeaders> {
  const entries = Object.entries(given);
  if (entries.length > MAX_COUNT) return bad(`headers: ${entries.length} of them, at most ${MAX_COUNT} are taken`);
  const kept: [name: string, value: string][] = [];
  const warnings: string[] = [];
  const seen = new Set<string>();
  for (const [name, value] of entries) {
    if (!NAME.test(name)) return bad(`headers: ${quote(name)} is not a header name`);
    const text = oneLine(String(value ?? "")).trim();
    if (text === "") continue;
    const ignored = whyIgnored(name.toLowerCase(), own);
    if (ignored !== null) {
      warnings.push(`headers.${name} ignored: ${ignored}`);
      continue;
    }
    const fault = faultOf(name, value, text, seen);
    if (fault !== null) return bad(`headers.${name}: ${fault}`);
    kept.push([name, text]);
  }
  // Own properties, even one called __proto__.
  return good({ headers: Object.fromEntries(kept), warnings });
}

function whyIgnored(name: string, { replyTo, listUnsubscribe }: OwnFields): string | null {
  if (OWNED.has(name) || OWNED_FAMILY.test(name)) return "the service sets it";
  if (replyTo && name === "reply-to") return "reply_to is given";
  if (listUnsubscribe && UNSUBSCRIBE.has(name)) return "list_unsubscribe is given";
  return name === "resent-bcc" ? "it would show whom it is to hide" : null;
}

/** `seen`: the names so far of headers that may stand only once. */
function faultOf(name: string, value: unknown, text: string, seen: Set<string>): string | null {
  if (typeof value !== "string" && typeof value !== "number") return "neither text nor a number";
  const lower = name.toLowerCase();
  if (SINGLE.has(lower) && seen.has(lower)) return "given twice";
  seen.add(lower);
  const addresses = OF_ONE_ADDRESS.has(lower) ? parseMailbox(text) : OF_ADDRESSES.has(lower) && parseMailboxes(text);
  if (addresses && !addresses.ok) return addresses.fault;
  if (OF_ASCII.test(lower) && !/^[\x20-\x7e]*$/.test(text)) return `${quote(text)} is not ASCII`;
  if (OF_ASCII.test(lower) && looksEncoded(text)) return `${quote(text)} has =?, encoded words are not allowed there`;
  return fitsLines(name, headerWords(name, text)) ? null : longWord(text);
}

function longWord(text: string): string {
  const longest = Math.max(...text.split(" ").map((word) => word.length));
  return `a word of ${longest} characters, a line of mail takes 998 with the name and breaks at spaces only`;
}

/** The value of an accepted header as it goes out, word by word. */
export function headerWords(name: string, value: string): string[] {
  const lower = name.toLowerCase();
  if (OF_ASCII.test(lower)) return asciiWords(value);
  if (!OF_ADDRESSES.has(lower) && !OF_ONE_ADDRESS.has(lower)) return textWords(value);
  const mailboxes = parseMailboxes(value);
  return mailboxes.ok ? mailboxWords(mailboxes.value) : textWords(value);
}
