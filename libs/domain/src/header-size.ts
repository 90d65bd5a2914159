import type { Draft } from "./draft.ts";
import { headerText } from "./header-text.ts";
import { type Payload, sizeOf } from "./payload.ts";

/** Of all header fields together, in octets: what mail servers take. */
const MAX_OCTETS = 65_536;
/** What encoded words can make of an octet. */
const MOST_ENCODED = 5;

type Fields = "from" | "to" | "cc" | "reply_to" | "subject" | "headers";

/**
 * Why there is too much for the headers of one mail before any of it is looked at, which costs far more than to count
 * it; null: it may do. Not longer than this when written out are only runs of white space and of commas.
 */
export function faultOfHeaderLength(raw: { readonly [field in Fields]?: unknown }): string | null {
  const { from, to, cc, reply_to, subject, headers } = raw;
  const characters = [from, to, cc, reply_to, subject, headers].reduce((sum: number, one) => sum + lengthOf(one), 0);
  return characters <= MAX_OCTETS
    ? null
    : `${characters} characters with addresses and subject, at most ${MAX_OCTETS} octets are taken`;
}

/** Of a text, of those in a list, or of those in an object with their names; of anything else none. */
function lengthOf(value: unknown): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 0;
  const names = Array.isArray(value) ? 0 : Object.keys(value).reduce((sum, name) => sum + name.length, 0);
  return Object.values(value).reduce((sum, one) => sum + (typeof one === "string" ? one.length : 0), names);
}

/** Why there is too much for the headers of one mail; null: there is not. Written out only where it might be. */
export function faultOfHeaderSize({ from, to, cc, reply_to, subject, headers }: Payload, draft: Draft): string | null {
  if (sizeOf({ from, to, cc, reply_to, subject, headers }) * MOST_ENCODED <= MAX_OCTETS) return null;
  const octets = Buffer.byteLength(headerText(draft));
  return octets <= MAX_OCTETS ? null : `${octets} octets with addresses and subject, at most ${MAX_OCTETS} are taken`;
}
