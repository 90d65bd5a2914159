import type { FileHandle } from "node:fs/promises";

/** A message ready to be handed over: the envelope's addresses, and the MIME text without any Bcc. */
export type Composed = {
  /** MAIL FROM; empty is the null sender `<>`. */
  sender: string;
  recipients: string[];
  /** One after another they are the message. */
  parts: Part[];
  /** Of the message as it leaves, in bytes. */
  size: number;
  /** An address that only servers with SMTPUTF8 (RFC 6531) take; null: none. */
  smtpUtf8: string | null;
};

/** MIME text as it leaves, or content that becomes base64 on its way. */
export type Part = Uint8Array | { base64: Uint8Array | OpenFile };

/** The bytes from `offset` on. */
export type OpenFile = { handle: FileHandle; offset: number; bytes: number };

/** Where in a composed text an attachment of the message belongs. */
export type Hole = { at: number; attachment: number };

/** RFC 2045 §6.8: lines of at most 76 characters, which are 57 bytes. */
export const LINE_BYTES = 57;

/** Puts the attachments where they belong. */
export function assembled(text: Uint8Array, holes: Hole[], attached: Part[]): Pick<Composed, "parts" | "size"> {
  const parts: Part[] = [];
  let from = 0;
  for (const { at, attachment } of holes) {
    parts.push(text.subarray(from, at), attached[attachment] as Part);
    from = at;
  }
  parts.push(text.subarray(from));
  return { parts, size: parts.reduce((sum, part) => sum + sizeOf(part), 0) };
}

/** In bytes, as it leaves. */
function sizeOf(part: Part): number {
  if (part instanceof Uint8Array) return part.length;
  const bytes = bytesOf(part.base64);
  const lines = Math.ceil(bytes / LINE_BYTES);
  return Math.ceil(bytes / 3) * 4 + Math.max(0, lines - 1) * 2;
}

export function bytesOf(content: Uint8Array | OpenFile): number {
  return content instanceof Uint8Array ? content.length : content.bytes;
}
