import type { ComposeAnswer } from "@async-mail/dispatcher/compose.worker";
import { assembled, type Composed } from "@async-mail/dispatcher/composed";
import { MessageBody } from "@async-mail/dispatcher/message-body";

/** A composed message as it leaves, but for the dots that SMTP adds. */
export async function wholeMessage(composed: Pick<Composed, "parts" | "size">): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const body = new MessageBody(composed, {
    begun: () => {},
    mayEnd: () => true,
    ended: () => {},
    failed: (error) => body.destroy(error as Error),
  });
  for await (const piece of body) pieces.push(piece);
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
