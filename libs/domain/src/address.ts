import { domainToASCII } from "node:url";
import { type AddressEntry, cutAddressList } from "./address-list.ts";
import { bad, good, quote, type Read } from "./read.ts";

/**
 * One address as headers show it; `address` is ready for MAIL FROM and RCPT TO: its domain is ASCII (punycode), its
 * local part a dot-atom or a quoted string, and only that may hold letters outside ASCII (RFC 6531).
 */
export type Mailbox = { name: string; address: string };

// RFC 5321 §4.5.3.1.3: a path is at most 256 octets, its brackets included. The 64 octets of §4.5.3.1.1 for the local
// part are not asked for: return paths that carry a recipient, and tokens to reply to, are longer and arrive.
const MAX_ADDRESS = 254;
const MAX_ENTRY = 1000;
/** Of one list, before it is read: text in characters, and addresses. */
const MAX_LIST = 1_000_000;
const MAX_MAILBOXES = 10_000;

const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
const DOT_ATOM = /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*$/;
/** RFC 6531 §3.3, but for what cannot be seen: spaces, control and format characters, what Unicode has not assigned. */
const FOREIGN_ATOM = /^[\p{L}\p{M}\p{N}\p{P}\p{S}\u200c\u200d]*$/u;
/** Without what a careless reader might cut the address at: `<`, `>`, `"`, `\`, `@`. */
const QUOTED = /^"([\x20\x21\x23-\x3b\x3d\x3f\x41-\x5b\x5d-\x7e]+)"$/;
const ENCODED = /=\?[^?]*\?[bq]\?/i;
const DOMAIN = /^(?=.{1,253}$)[a-z0-9_](?:[\w-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[\w-]{0,61}[a-z0-9_])?)*$/i;
/** Letters, digits, and the marks that IDNA takes between them: full stops and a few that only some scripts have. */
const FOREIGN_DOMAIN = /^(?:[\p{L}\p{M}\p{N}\w.\u3002\uff0e\uff61\u00b7\u0375\u05f3\u05f4\u30fb-]|\u200c|\u200d)+$/u;
const BEYOND_ASCII = /[^\x00-\x7f]/;

/**
 * Parses a list as in a To header; empty entries are skipped, at most 10,000 are taken. The fault reads like
 * `"x y" is not an address`.
 */
export function parseMailboxes(text: string | string[]): Read<Mailbox[]> {
  const lists = typeof text === "string" ? [text] : text;
  const tooMuch = faultOfCount(lists.length) ?? faultOfLength(lists);
  if (tooMuch !== null) return bad(tooMuch);
  const mailboxes: Mailbox[] = [];
  for (const list of lists) {
    if (CONTROL.test(list)) return bad(`${quote(list)} holds a line break or another control character`);
    const entries = cutAddressList(list);
    if (!entries.ok) return entries;
    const tooMany = faultOfCount(mailboxes.length + entries.value.length);
    if (tooMany !== null) return bad(tooMany);
    for (const entry of entries.value) {
      const mailbox = readEntry(entry);
      if (!mailbox.ok) return mailbox;
      mailboxes.push(mailbox.value);
    }
  }
  return good(mailboxes);
}

function faultOfCount(count: number): string | null {
  return count > MAX_MAILBOXES ? `${count} addresses, at most ${MAX_MAILBOXES} are taken` : null;
}

function faultOfLength(lists: readonly string[]): string | null {
  const length = lists.reduce((sum, list) => sum + list.length, 0);
  return length > MAX_LIST ? `${length} characters, at most ${MAX_LIST} are taken` : null;
}

/** Exactly one, as in From. */
export function parseMailbox(text: string): Read<Mailbox> {
  // A list of millions is not read for that there is more than one.
  if (text.length > MAX_ENTRY) return bad(`${quote(text)} is longer than ${MAX_ENTRY} characters`);
  const parsed = parseMailboxes(text);
  if (!parsed.ok) return parsed;
  const [mailbox, second] = parsed.value;
  if (mailbox === undefined) return bad(`${quote(text)} is not an address`);
  return second === undefined ? good(mailbox) : bad(`${quote(text)} is more than one address`);
}

/** The same for two addresses that reach the same mailbox: letter case counts in the local part only. */
export function mailboxKey(address: string): string {
  const at = address.lastIndexOf("@");
  return address.slice(0, at).normalize() + address.slice(at).toLowerCase();
}

/** Only servers that offer SMTPUTF8 (RFC 6531) take a message with such an address in its envelope or its headers. */
export function needsSmtpUtf8(address: string): boolean {
  return BEYOND_ASCII.test(address);
}

export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1);
}

function readEntry(entry: AddressEntry): Read<Mailbox> {
  if (entry.source.length > MAX_ENTRY) return bad(`${quote(entry.source)} is longer than ${MAX_ENTRY} characters`);
  const address = readAddress(entry.address, entry.source);
  return address.ok ? good({ name: entry.name, address: address.value }) : address;
}

/** An addr-spec with its domain in ASCII. */
function readAddress(text: string, source: string): Read<string> {
  const at = text.lastIndexOf("@");
  const written = text.slice(at + 1);
  if (at > 0 && written.startsWith("["))
    return bad(`${quote(source)} names a host by its number, a domain is wanted after the @`);
  const local = readLocalPart(text.slice(0, Math.max(at, 0)));
  if (local === null && text.startsWith('"'))
    return bad(`${quote(source)} has more in its quotes than is supported there`);
  const domain = asciiDomain(written);
  if (local === null || !DOMAIN.test(domain)) return bad(`${quote(source)} is not an address`);
  const address = `${local}@${domain}`;
  return Buffer.byteLength(address) <= MAX_ADDRESS
    ? good(address)
    : bad(`${quote(source)} is longer than ${MAX_ADDRESS} octets`);
}

/**
 * As it goes out; null: it is none. Quotes that are not needed are left out (RFC 5321 §4.1.2). What looks like an
 * encoded word is refused: some servers decode it, and deliver to the address that comes out.
 */
function readLocalPart(text: string): string | null {
  if (ENCODED.test(text.normalize("NFKC"))) return null;
  if (DOT_ATOM.test(text)) return text;
  const quoted = QUOTED.exec(text)?.[1];
  if (quoted !== undefined) return DOT_ATOM.test(quoted) ? quoted : text;
  return isForeignLocalPart(text) ? text : null;
}

/** What some reader may fold to ASCII (NFKC: a wide @ or comma, an ellipsis) must not become a mark by that. */
function isForeignLocalPart(text: string): boolean {
  if (!BEYOND_ASCII.test(text) || !FOREIGN_ATOM.test(text)) return false;
  return [text, text.normalize("NFKC")].every((form) => DOT_ATOM.test(form.replace(/[^\x00-\x7f]/g, "x")));
}

/** Node's own would end a domain at the `/`, `?` or `#` in it, and decode a `%`. */
function asciiDomain(domain: string): string {
  if (!BEYOND_ASCII.test(domain)) return domain;
  return FOREIGN_DOMAIN.test(domain) ? domainToASCII(domain) : "";
}
