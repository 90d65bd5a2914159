import type { SmtpStage } from "./outcome.ts";

/**
 * Whose fault a refusal is. account: nobody's mail goes out there now. throttle: the account is too fast.
 * unknown: it may pass, so it is tried again.
 */
export type ReplyMeaning = "message" | "recipient" | "account" | "throttle" | "unknown";

/** One row: all that it names must match. `enhanced` is an RFC 3463 code, or its beginning with a dot at the end. */
export type MeaningRow = { code?: number; enhanced?: string; text?: RegExp; meaning: ReplyMeaning; source: string };

/** The first row that matches tells. What no row knows: 5yz is the recipient's at RCPT and else the message's, all other unknown. */
export const MEANINGS: readonly MeaningRow[] = [
  // Providers' own words for quotas and log-ins
  {
    code: 454,
    enhanced: "4.7.0",
    meaning: "account",
    source: "Gmail: too many login attempts (support.google.com/a/answer/3726730)",
  },
  {
    code: 550,
    enhanced: "5.4.5",
    meaning: "account",
    source: "Gmail: daily sending limit exceeded (support.google.com/a/answer/3726730)",
  },
  {
    code: 554,
    enhanced: "5.2.0",
    meaning: "account",
    source: "Microsoft 365: submission quota exceeded (learn.microsoft.com smtp-submission-improvements)",
  },
  {
    code: 432,
    enhanced: "4.3.2",
    meaning: "account",
    source: "Microsoft 365: concurrent connections limit (learn.microsoft.com smtp-submission-improvements)",
  },
  {
    code: 550,
    enhanced: "5.7.30",
    meaning: "account",
    source: "Microsoft 365: basic authentication not supported for client submission",
  },
  {
    code: 454,
    text: /throttling failure/i,
    meaning: "throttle",
    source: "Amazon SES: sending quota or rate (docs.aws.amazon.com/ses manage-sending-quotas-errors)",
  },

  // Authentication, wherever in the dialogue the server asks for it
  { code: 530, meaning: "account", source: "RFC 4954 §6, RFC 3207 §4: authentication or STARTTLS required" },
  { code: 534, meaning: "account", source: "RFC 4954 §6: mechanism too weak" },
  { code: 535, meaning: "account", source: "RFC 4954 §6: credentials invalid" },
  { code: 538, meaning: "account", source: "RFC 4954 §6: encryption required for the mechanism" },

  // RFC 3463: what the second number is about
  { enhanced: "5.1.7", meaning: "message", source: "RFC 3463 §3.2: bad sender's mailbox syntax" },
  { enhanced: "5.1.8", meaning: "message", source: "RFC 3463 §3.2: bad sender's system" },
  { enhanced: "5.1.", meaning: "recipient", source: "RFC 3463 §3.2: addressing" },
  { enhanced: "5.2.3", meaning: "message", source: "RFC 3463 §3.3: message longer than the mailbox allows" },
  { enhanced: "5.2.", meaning: "recipient", source: "RFC 3463 §3.3: mailbox" },
  { enhanced: "5.3.4", meaning: "message", source: "RFC 3463 §3.4: message too big for the system" },
  { enhanced: "5.6.", meaning: "message", source: "RFC 3463 §3.7: content" },
  { code: 552, meaning: "message", source: "RFC 1870 §6: message size exceeds the maximum" },
];

/** Before MAIL FROM nothing was said about a message: whatever goes wrong is the account's. */
const BEFORE_MAIL: ReadonlySet<SmtpStage> = new Set(["dns", "connect", "tls", "greeting", "ehlo", "starttls", "auth"]);

export function isBeforeMail(stage: SmtpStage): boolean {
  return BEFORE_MAIL.has(stage);
}

export function meaningOf(stage: SmtpStage, code: number, response: string): ReplyMeaning {
  if (isBeforeMail(stage)) return "account";
  const enhanced = enhancedCode(response);
  const row = MEANINGS.find((one) => rowMatches(one, code, enhanced, response));
  if (row !== undefined) return row.meaning;
  if (!isPermanent(code)) return "unknown";
  return stage === "rcpt" ? "recipient" : "message";
}

export function isPermanent(code: number): boolean {
  return code >= 500 && code <= 599;
}

function rowMatches(row: MeaningRow, code: number, enhanced: string | null, response: string): boolean {
  if (row.code !== undefined ? row.code !== code : !isPermanent(code)) return false;
  if (row.enhanced !== undefined && !(enhanced !== null && sameOrBelow(enhanced, row.enhanced))) return false;
  return row.text === undefined || row.text.test(response);
}

function sameOrBelow(enhanced: string, wanted: string): boolean {
  return wanted.endsWith(".") ? enhanced.startsWith(wanted) : enhanced === wanted;
}

/** RFC 2034: the text begins with it, after the reply code if that is still there. */
function enhancedCode(response: string): string | null {
  return /^(?:\d{3}[ -])?\s*([245]\.\d{1,3}\.\d{1,3})/.exec(response)?.[1] ?? null;
}
