import { type ReadAttachment, readAttachment } from "./attachment.ts";
import type { RawAttachment } from "./message-schema.ts";
import { bad, good, quote, type Read } from "./read.ts";
import { isS3Allowed } from "./s3-allow.ts";

const MAX_COUNT = 100;

/** A message's attachments. The fault begins with `attachments`. */
export function readAttachments(raw: RawAttachment[], s3Allow: readonly string[]): Read<ReadAttachment[]> {
  if (raw.length > MAX_COUNT) return bad(`attachments: ${raw.length} of them, at most ${MAX_COUNT} are taken`);
  const attachments: ReadAttachment[] = [];
  for (const [index, one] of raw.entries()) {
    const read = readAttachment(one);
    if (!read.ok) return bad(`attachments[${index}]${read.fault}`);
    const { s3 } = read.value.stored;
    if (s3 !== undefined && !isS3Allowed(s3Allow, s3)) return bad(`attachments[${index}].s3: not allowed`);
    attachments.push(read.value);
  }
  return uniqueContentIds(attachments);
}

/** A reader would show one image for both. */
function uniqueContentIds(attachments: ReadAttachment[]): Read<ReadAttachment[]> {
  const seen = new Map<string, number>();
  for (const [index, { stored }] of attachments.entries()) {
    const { content_id } = stored;
    if (content_id === undefined) continue;
    const before = seen.get(content_id);
    if (before !== undefined)
      return bad(`attachments[${index}].content_id: ${quote(content_id)} is that of attachments[${before}] too`);
    seen.set(content_id, index);
  }
  return good(attachments);
}
