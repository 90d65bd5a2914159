import { assembled, type Composed } from "@async-mail/dispatcher/composed";
import { piecesOf } from "@async-mail/dispatcher/message-body";
import type { ComposeAnswer } from "@async-mail/dispatcher/mime-text";

/** A composed message as it leaves, but for the dots that SMTP adds. */
export async function wholeMessage({ parts }: Pick<Composed, "parts">): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of piecesOf(parts)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** What a composing thread answered, with attachments that are all in memory, all as base64. */
export function withAttachments(
  { text, holes }: Extract<ComposeAnswer, { ok: true }>,
  contents: Uint8Array[] = [],
): Promise<Buffer> {
  return wholeMessage(
    assembled(
      text,
      holes,
      contents.map((base64) => ({ base64 })),
    ),
  );
}
