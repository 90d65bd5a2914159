import { bad, good, quote, type Read } from "./read.ts";

// RFC 5322 §2.1.1 ends a line at 998 characters, and "Message-ID: <>" stands on it too.
const MAX_LENGTH = 900;

/** A client's Message-ID as the header carries it, `<…@…>`; one without an @ gets the sender's domain. */
export function readMessageId(text: string, senderDomain: string): Read<string> {
  const bare = text.trim().replace(/^<(.*)>$/s, "$1");
  if (bare.length > MAX_LENGTH) return bad(`longer than ${MAX_LENGTH} characters`);
  if (!/^[\x21-\x7e]+$/.test(bare) || /[<>]/.test(bare))
    return bad(`${quote(text)} is not one line of printable ASCII`);
  // Some readers would decode it, line breaks and all.
  if (/=\?.*\?=/.test(bare)) return bad(`${quote(text)} holds an encoded word`);
  if (bare.startsWith("@") || bare.endsWith("@")) return bad(`${quote(text)} is not of the form <…@…>`);
  return good(`<${bare.includes("@") ? bare : `${bare}@${senderDomain}`}>`);
}
