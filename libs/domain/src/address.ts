import { domainToASCII } from "node:url";
import { type AddressEntry, cutAddressList } from "./address-list.ts";
import { bad, good, quote, type Read } from "./read.ts";

/** One address as headers show it; `address` is ASCII (punycode domain), ready for MAIL FROM and RCPT TO. */
export type Mailbox = { name: string; address: string };

// RFC 5321 §4.5.3.1.3: a path is at most 256 octets, its brackets included.
const MAX_ADDRESS = 254;
const MAX_ENTRY = 1000;

const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
const DOT_ATOM = /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*$/;
const DOMAIN = /^(?=.{1,253}$)[a-z0-9_](?:[\w-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[\w-]{0,61}[a-z0-9_])?)*$/i;
const BEYOND_ASCII = /[^\x00-\x7f]/;

/** Parses a list as in a To header; empty entries are skipped. The fault reads like `"x y" is not an address`. */
export function parseMailboxes(text: string | string[]): Read<Mailbox[]> {
  const mailboxes: Mailbox[] = [];
  for (const list of typeof text === "string" ? [text] : text) {
    if (CONTROL.test(list)) return bad(`${quote(list)} holds a line break or another control character`);
    const entries = cutAddressList(list);
    if (!entries.ok) return entries;
    for (const entry of entries.value) {
      const mailbox = readEntry(entry);
      if (!mailbox.ok) return mailbox;
      mailboxes.push(mailbox.value);
    }
  }
  return good(mailboxes);
}

/** Exactly one, as in From. */
export function parseMailbox(text: string): Read<Mailbox> {
  const parsed = parseMailboxes(text);
  if (!parsed.ok) return parsed;
  const [mailbox, second] = parsed.value;
  if (mailbox === undefined) return bad(`${quote(text)} is not an address`);
  return second === undefined ? good(mailbox) : bad(`${quote(text)} is more than one address`);
}

/** The same for two addresses that reach the same mailbox: letter case counts in the local part only. */
export function mailboxKey(address: string): string {
  const at = address.lastIndexOf("@");
  return address.slice(0, at) + address.slice(at).toLowerCase();
}

export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1);
}

function readEntry(entry: AddressEntry): Read<Mailbox> {
  if (entry.source.length > MAX_ENTRY) return bad(`${quote(entry.source)} is longer than ${MAX_ENTRY} characters`);
  const address = readAddress(entry.address, entry.source);
  return address.ok ? good({ name: entry.name, address: address.value }) : address;
}

/** An addr-spec with its domain in ASCII. Address literals are refused, and so is what needs SMTPUTF8. */
function readAddress(text: string, source: string): Read<string> {
  const at = text.lastIndexOf("@");
  const local = text.slice(0, Math.max(at, 0));
  const domain = asciiDomain(text.slice(at + 1));
  if (!DOMAIN.test(domain)) return bad(`${quote(source)} is not an address`);
  if (DOT_ATOM.test(local)) {
    const address = `${local}@${domain}`;
    return address.length <= MAX_ADDRESS
      ? good(address)
      : bad(`${quote(source)} is longer than ${MAX_ADDRESS} characters`);
  }
  const onlyForeign = BEYOND_ASCII.test(local) && DOT_ATOM.test(local.replace(/[^\x00-\x7f]/g, "x"));
  if (onlyForeign) return bad(`${quote(source)} has letters outside ASCII before the @, which are not supported`);
  return bad(`${quote(source)} is not an address`);
}

function asciiDomain(domain: string): string {
  return BEYOND_ASCII.test(domain) ? domainToASCII(domain) : domain;
}
