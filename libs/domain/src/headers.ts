import { bad, good, oneLine, quote, type Read } from "./read.ts";

const OWNED = new Set([...["from", "to", "cc", "bcc", "subject", "date", "message-id", "received", "return-path"]]);
const OWNED_FAMILY = /^(?:mime|content|dkim)-/;

/** RFC 5322 §2.2: printable ASCII without the colon. Longer names would not leave room on the line. */
const NAME = /^[\x21-\x39\x3b-\x7e]{1,200}$/;

export type CustomHeaders = { headers: Record<string, string>; warnings: string[] };

/** A client's own headers as text, each on one line. Those that the service writes itself are left out, with a warning. */
export function readHeaders(given: Record<string, string | number | null>, hasReplyTo: boolean): Read<CustomHeaders> {
  const headers: Record<string, string> = {};
  const warnings: string[] = [];
  for (const [name, value] of Object.entries(given)) {
    if (!NAME.test(name)) return bad(`${quote(name)} is not a header name`);
    if (value === null) continue;
    if (isOwned(name)) warnings.push(`headers.${name} ignored: the service sets it`);
    else if (hasReplyTo && name.toLowerCase() === "reply-to")
      warnings.push(`headers.${name} ignored: reply_to is given`);
    else headers[name] = oneLine(String(value));
  }
  return good({ headers, warnings });
}

function isOwned(name: string): boolean {
  const lower = name.toLowerCase();
  return OWNED.has(lower) || OWNED_FAMILY.test(lower);
}
