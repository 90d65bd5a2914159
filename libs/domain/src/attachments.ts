import { type ReadAttachment, readAttachment } from "./attachment.ts";
import type { RawAttachment } from "./message-schema.ts";
import { bad, good, quote, type Read } from "./read.ts";
import { isS3Allowed, isTenantS3Allowed, type S3Place } from "./s3-allow.ts";

const MAX_COUNT = 100;

export type AttachmentLimits = {
  /** The setting `s3.allow`: each `bucket` or `bucket/prefix`; empty: all. */
  s3Allow: readonly string[];
  /** The setting `attachments.max_bytes`, of one. */
  maxAttachmentBytes: number;
  /** Of a tenant with rules of its own, as `s3.allow`, but with none nothing is allowed; null: `s3.allow` alone. */
  tenantS3: readonly string[] | null;
  /** The tenant has a client that can be asked for files. */
  endpoint: boolean;
};

/** A message's attachments. The fault begins with `attachments`, and so does each warning. */
export function readAttachments(raw: RawAttachment[], limits: AttachmentLimits): Read<ReadAttachment[]> {
  if (raw.length > MAX_COUNT) return bad(`attachments: ${raw.length} of them, at most ${MAX_COUNT} are taken`);
  const attachments: ReadAttachment[] = [];
  for (const [index, one] of raw.entries()) {
    const read = readAttachment(one, limits.maxAttachmentBytes);
    if (!read.ok) return bad(`attachments[${index}]${read.fault}`);
    const { stored, content, warnings } = read.value;
    if (stored.s3 !== undefined && !mayName(limits, stored.s3)) return bad(`attachments[${index}].s3: not allowed`);
    if (stored.fetch_mode === "endpoint" && !limits.endpoint)
      return bad(`attachments[${index}].storage_path: the tenant has no client_base_url to ask for it`);
    attachments.push({ stored, content, warnings: warnings.map((text) => `attachments[${index}]${text}`) });
  }
  return uniqueContentIds(attachments);
}

function mayName({ s3Allow, tenantS3 }: AttachmentLimits, place: S3Place): boolean {
  return isS3Allowed(s3Allow, place) && (tenantS3 === null || isTenantS3Allowed(tenantS3, place));
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
