import type { Composer } from "@async-mail/dispatcher/composer";
import { toDraft } from "@async-mail/domain/draft";
import type { Message, Payload } from "@async-mail/domain/message";
import { withAttachments } from "../support/whole-message.ts";

export const DATE_MS = 1_800_000_000_000;

/** An accepted message as it leaves, all its attachments inline, composed by a real thread. Throws when none can be. */
export async function writtenMail(composer: Pick<Composer, "compose">, message: Message): Promise<Buffer> {
  // What a thread gets has been in the database.
  const payload: Payload = JSON.parse(JSON.stringify(message.payload));
  const attachedAs = toDraft(payload).attachments.map(() => "base64" as const);
  const answer = await composer.compose(
    { payload, messageId: message.messageId, dateMs: DATE_MS, attachedAs },
    message.bytes,
  );
  if (!answer.ok) throw new Error(answer.reason);
  return await withAttachments(answer, message.contents);
}
