import type { SmtpStage } from "./outcome.ts";

/**
 * Whose fault a refusal is. account: nobody's mail goes out there now. throttle: nor does it, and then more slowly for
 * a while. unknown: it may pass, so it is tried again.
 */
export type ReplyMeaning = "message" | "recipient" | "account" | "throttle" | "unknown";

/**
 * One row: all that it names must match. `enhanced` is an RFC 3463 code, or its beginning with a dot at the end;
 * `text` is contained in the reply, in any case. Without a code, `enhanced` tells 4yz from 5yz.
 */
export type MeaningRow = { code?: number; enhanced?: string; text?: string; meaning: ReplyMeaning };

/** What a refusal at a stage of the dialogue means; `response` is the server's text, with or without the code. */
export type MeaningOf = (stage: SmtpStage, code: number, response: string) => ReplyMeaning;

const GMAIL = "Gmail (support.google.com/a/answer/3726730)";
const M365 =
  "Microsoft 365 (learn.microsoft.com exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online)";
const M365_SUBMISSION =
  "Microsoft 365 (learn.microsoft.com exchange/clients-and-mobile-in-exchange-online smtp-submission-improvements)";
const SES = "Amazon SES (docs.aws.amazon.com/ses/latest/dg: troubleshoot-smtp, manage-sending-quotas-errors)";
const POSTFIX = "Postfix, for a company's relay (postfix.org/anvil.8.html)";

/** The first row that matches tells. What no row knows: 5yz is the recipient's at RCPT and else the message's, all other unknown. */
export const MEANINGS: readonly (MeaningRow & { source: string })[] = [
  // Gmail and Google Workspace
  { code: 454, enhanced: "4.7.0", meaning: "account", source: `${GMAIL}: too many login attempts` },
  { code: 550, enhanced: "5.4.5", meaning: "account", source: `${GMAIL}: daily sending limit exceeded` },
  { code: 550, text: "relay limit exceeded", meaning: "account", source: `${GMAIL}: daily SMTP relay limit` },
  { text: "relay recipient limit", code: 550, meaning: "account", source: `${GMAIL}: daily relay recipient limit` },
  { code: 450, text: "relay limit exceeded", meaning: "throttle", source: `${GMAIL}: peak SMTP relay limit` },
  { enhanced: "4.7.28", meaning: "throttle", source: `${GMAIL}: unusual rate of mail from this address` },
  { code: 421, enhanced: "4.4.5", meaning: "throttle", source: `${GMAIL}: server busy; RFC 3463 §3.5: congestion` },

  // Microsoft 365
  { code: 432, enhanced: "4.3.2", meaning: "throttle", source: `${M365_SUBMISSION}: too many connections at once` },
  { code: 554, text: "sendasdenied", meaning: "message", source: `${M365}: not permitted to send as this sender` },
  { code: 554, enhanced: "5.2.0", meaning: "account", source: `${M365_SUBMISSION}: submission quota exceeded` },
  { code: 550, enhanced: "5.7.30", meaning: "account", source: `${M365_SUBMISSION}: basic authentication refused` },
  { enhanced: "5.1.90", meaning: "account", source: `${M365}: daily limit of recipients reached` },
  { enhanced: "5.1.8", text: "bad outbound sender", meaning: "account", source: `${M365}: account blocked for spam` },
  { enhanced: "5.7.501", meaning: "account", source: `${M365}: spam abuse detected` },
  { enhanced: "5.7.502", meaning: "account", source: `${M365}: banned sender` },
  { enhanced: "5.7.503", meaning: "account", source: `${M365}: banned sender` },
  { enhanced: "5.7.705", meaning: "account", source: `${M365}: tenant has exceeded its threshold` },
  { enhanced: "5.7.708", meaning: "account", source: `${M365}: traffic not accepted from this address` },
  { enhanced: "5.7.750", meaning: "account", source: `${M365}: blocked from sending from unregistered domains` },
  { enhanced: "5.7.64", text: "tenantattribution", meaning: "account", source: `${M365}: connector does not know us` },
  { enhanced: "5.2.252", meaning: "message", source: `${M365}: not permitted to send as this sender` },
  { enhanced: "5.7.60", meaning: "message", source: `${M365}: not permitted to send as this sender` },
  { code: 421, enhanced: "4.3.2", meaning: "throttle", source: `${M365}: too many connections; RFC 3463 §3.4` },
  { code: 451, text: "server busy", meaning: "throttle", source: `${M365}: 451 4.7.500 to 4.7.699, address throttled` },

  // Amazon SES
  { code: 454, text: "daily message quota", meaning: "account", source: `${SES}: daily quota` },
  { code: 454, text: "throttling failure", meaning: "throttle", source: `${SES}: sending rate` },
  { code: 554, text: "sending paused", meaning: "account", source: `${SES}: the account's sending is paused` },
  {
    code: 554,
    text: "is not authorized to perform",
    meaning: "account",
    source: `${SES}: the user lacks a permission`,
  },

  // Company relays
  { code: 421, enhanced: "4.7.", meaning: "throttle", source: `${POSTFIX}: too many connections, errors or messages` },
  { code: 450, text: "too much mail from", meaning: "throttle", source: `${POSTFIX}: message rate limit` },
  { code: 450, text: "rate limit", meaning: "throttle", source: `${POSTFIX}: as policy services word it` },
  { code: 451, text: "rate limit", meaning: "throttle", source: `${POSTFIX}: as policy services word it` },

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
  { code: 552, text: "too many recipients", meaning: "unknown", source: "RFC 5321 §4.5.3.1.10: to be sent again" },
  { enhanced: "5.5.3", meaning: "unknown", source: "RFC 3463 §3.6: too many recipients, RFC 5321 §4.5.3.1.10" },
  { code: 552, meaning: "message", source: "RFC 1870 §6: message size exceeds the maximum" },
];

/** The table, with rows of the operator's before it. */
export function meanings(own: readonly MeaningRow[] = []): MeaningOf {
  const rows = [...own, ...MEANINGS].map((row) => ({ ...row, text: row.text?.toLowerCase() }));
  return (stage, code, response) => {
    const enhanced = enhancedCode(response);
    const text = response.toLowerCase();
    const meaning = rows.find((row) => rowMatches(row, code, enhanced, text))?.meaning;
    if (isBeforeMail(stage)) return meaning === "throttle" ? meaning : "account";
    return meaning ?? unlisted(stage, code);
  };
}

/** Before MAIL FROM nothing was said about a message: whatever goes wrong is the account's. */
const BEFORE_MAIL: ReadonlySet<SmtpStage> = new Set(["dns", "connect", "tls", "greeting", "ehlo", "starttls", "auth"]);

export function isBeforeMail(stage: SmtpStage): boolean {
  return BEFORE_MAIL.has(stage);
}

export function isPermanent(code: number): boolean {
  return code >= 500 && code <= 599;
}

function unlisted(stage: SmtpStage, code: number): ReplyMeaning {
  if (!isPermanent(code)) return "unknown";
  return stage === "rcpt" ? "recipient" : "message";
}

function rowMatches(row: MeaningRow, code: number, enhanced: string | null, text: string): boolean {
  if (row.code !== undefined && row.code !== code) return false;
  if (row.enhanced !== undefined && !isOf(row.enhanced, code, enhanced)) return false;
  return row.text === undefined || text.includes(row.text);
}

/** A server that contradicts itself (450 5.1.1) is not believed. */
function isOf(wanted: string, code: number, enhanced: string | null): boolean {
  if (enhanced === null || enhanced[0] !== String(code)[0]) return false;
  return wanted.endsWith(".") ? enhanced.startsWith(wanted) : enhanced === wanted;
}

/** RFC 2034: the text begins with it, after the reply code if that is still there. */
function enhancedCode(response: string): string | null {
  return /^(?:\d{3}[ -])?\s*([245]\.\d{1,3}\.\d{1,3})/.exec(response)?.[1] ?? null;
}
