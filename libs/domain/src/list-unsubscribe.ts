import { parseMailbox } from "./address.ts";
import { looksEncoded } from "./encoded-word.ts";
import { bad, good, quote, type Read } from "./read.ts";

/** As posted; what is absent was null or empty. */
export type ListUnsubscribe = { url?: string; mailto?: string; one_click?: boolean };

type RawListUnsubscribe = { url?: string | null; mailto?: string | null; one_click?: boolean | null };

const MAX_LENGTH = 900;
/** Printable ASCII without what stands around an address in the header, and what no address may hold (RFC 3986 §2). */
const URI = /^[\x21\x23-\x3b\x3d\x3f-\x5b\x5d-\x7e]+$/;

/** Where a reader's button leads (RFC 2369 §3.2, RFC 8058). The fault begins with the field's path. */
export function readListUnsubscribe(raw: RawListUnsubscribe): Read<ListUnsubscribe> {
  const { url, mailto, one_click } = raw;
  if (!url && !mailto) return bad("list_unsubscribe has neither url nor mailto");
  const kept: ListUnsubscribe = {};
  if (url) {
    const fault = faultOfUrl(url.trim());
    if (fault !== null) return bad(`list_unsubscribe.url: ${fault}`);
    kept.url = url.trim();
  }
  if (mailto) {
    const read = readMailto(mailto.trim());
    if (!read.ok) return bad(`list_unsubscribe.mailto: ${read.fault}`);
    kept.mailto = read.value;
  }
  if (one_click === true && !isHttps(kept.url))
    return bad("list_unsubscribe.one_click: true needs a url that begins with https (RFC 8058)");
  if (typeof one_click === "boolean") kept.one_click = one_click;
  return good(kept);
}

/** The headers that say so. */
export function unsubscribeHeaders({ url, mailto, one_click = isHttps(url) }: ListUnsubscribe): [string, string][] {
  const uris = [...(url === undefined ? [] : [`<${url}>`]), ...(mailto === undefined ? [] : [`<${mailto}>`])];
  if (uris.length === 0) return [];
  const header: [string, string] = ["List-Unsubscribe", uris.join(", ")];
  return one_click ? [header, ["List-Unsubscribe-Post", "List-Unsubscribe=One-Click"]] : [header];
}

function isHttps(url: string | undefined): boolean {
  return url !== undefined && URL.parse(url)?.protocol === "https:";
}

/** URL parsing also takes `https:x@y`, which a reader of mail need not. */
const ABSOLUTE = /^https?:\/\/[^/?#]/i;

function faultOfUrl(url: string): string | null {
  if (url.length > MAX_LENGTH) return `longer than ${MAX_LENGTH} characters`;
  if (URL.parse(url) === null || !ABSOLUTE.test(url)) return `${quote(url)} is not an http or https address`;
  return faultOfUri(url);
}

function faultOfUri(uri: string): string | null {
  if (!URI.test(uri)) return `${quote(uri)} has characters that a URI may have only percent-encoded`;
  // Some readers would decode it, line breaks and all.
  if (looksEncoded(uri)) return `${quote(uri)} has =? as an encoded word does, write it percent-encoded (=%3F)`;
  return uri.length > MAX_LENGTH ? `longer than ${MAX_LENGTH} characters` : null;
}

/** A mailto URI (RFC 6068) of an address, or of a URI to one with a subject or body at most. */
function readMailto(text: string): Read<string> {
  if (text.length > MAX_LENGTH) return bad(`longer than ${MAX_LENGTH} characters`);
  const isUri = /^mailto:/i.test(text);
  const uri = isUri ? `mailto:${text.slice("mailto:".length)}` : addressUri(text);
  if (uri === null) return bad(`${quote(text)} is not an address`);
  const fault = faultOfUri(uri) ?? faultOfMailto(uri);
  return fault === null ? good(uri) : bad(fault);
}

function addressUri(text: string): string | null {
  const mailbox = parseMailbox(text);
  if (!mailbox.ok || mailbox.value.name !== "") return null;
  const { address } = mailbox.value;
  const at = address.lastIndexOf("@");
  return `mailto:${encodeURIComponent(address.slice(0, at))}${address.slice(at)}`;
}

function faultOfMailto(uri: string): string | null {
  const [to = "", query, ...more] = uri.slice("mailto:".length).split("?");
  const mailbox = parseMailbox(decoded(to) ?? "");
  if (!mailbox.ok || mailbox.value.name !== "" || more.length > 0) return `${quote(uri)} is not of the form mailto:…@…`;
  for (const field of query?.split("&") ?? []) {
    const [name = "", value = ""] = field.split("=");
    if (!/^(?:subject|body)$/i.test(name)) return `${quote(name)} is not allowed, only subject and body are`;
    const meant = decoded(value);
    if (meant === null || /[\x00-\x1f\x7f]/.test(meant)) return `${quote(value)} is not one line of text`;
  }
  return null;
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
