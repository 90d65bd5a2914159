import type { Draft } from "./draft.ts";
import { headerField, mailboxWords, textWords } from "./header-line.ts";
import { headerWords } from "./headers.ts";

/** Longer words of a subject are cut by encoding them, though they would still fit a line. */
const LONG_WORD = 400;

/**
 * The header fields of a message, each with its CRLF, but for Date, Message-ID and those of MIME. No line is longer
 * than the 998 octets of RFC 5322 §2.1.1. Bcc is not among them.
 */
export function headerText(draft: Draft): string {
  const { from, to, cc, replyTo, subject, headers } = draft;
  return [
    headerField("From", mailboxWords([from])),
    ...(to.length > 0 ? [headerField("To", mailboxWords(to))] : []),
    ...(cc.length > 0 ? [headerField("Cc", mailboxWords(cc))] : []),
    ...(replyTo.length > 0 ? [headerField("Reply-To", mailboxWords(replyTo))] : []),
    headerField("Subject", textWords(subject, LONG_WORD)),
    ...headers.map(([name, value]) => headerField(name, headerWords(name, value))),
  ].join("");
}
