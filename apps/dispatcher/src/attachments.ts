import type { DraftAttachment } from "@async-mail/domain/draft";

/** Runs in the worker's threads. */
export type AttachmentLimits = {
  /** Of one attachment. */
  maxBytes: number;
  /** Total time of one fetch. */
  timeoutMs: number;
};

export type Fetched = { ok: true; bytes: Uint8Array } | { ok: false; permanent: boolean; reason: string };

/** The bytes of one attachment, from wherever they are; `contents` are the message's inline ones. */
export async function fetchAttachment(
  attachment: DraftAttachment,
  contents: Uint8Array[],
  limits: AttachmentLimits,
): Promise<Fetched> {
  const { filename, source } = attachment;
  switch (source.kind) {
    case "content":
      return inline(filename, contents[source.index], limits.maxBytes);
    case "url":
      return refused(filename, "url attachments are not available in this version");
    case "s3":
      return refused(filename, "s3 attachments are not available in this version");
  }
}

function inline(name: string, bytes: Uint8Array | undefined, maxBytes: number): Fetched {
  if (bytes === undefined) return refused(name, "its content is not in the database");
  if (bytes.length > maxBytes)
    return refused(name, `${bytes.length} bytes, attachments.max_bytes allows at most ${maxBytes}`);
  return { ok: true, bytes };
}

function refused(name: string, why: string): Fetched {
  return { ok: false, permanent: true, reason: `Attachment fetch failed: ${name}: ${why}` };
}
