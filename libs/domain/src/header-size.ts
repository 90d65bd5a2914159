import type { Draft } from "./draft.ts";
import { headerText } from "./header-text.ts";
import { type Payload, sizeOf } from "./payload.ts";

/** Of all header fields together, in octets: what mail servers take. */
const MAX_OCTETS = 65_536;
/** What encoded words can make of an octet. */
const MOST_ENCODED = 5;

/** Why there is too much for the headers of one mail; null: there is not. Written out only where it might be. */
export function faultOfHeaderSize({ from, to, cc, reply_to, subject, headers }: Payload, draft: Draft): string | null {
  if (sizeOf({ from, to, cc, reply_to, subject, headers }) * MOST_ENCODED <= MAX_OCTETS) return null;
  const octets = Buffer.byteLength(headerText(draft));
  return octets <= MAX_OCTETS ? null : `${octets} octets with addresses and subject, at most ${MAX_OCTETS} are taken`;
}
