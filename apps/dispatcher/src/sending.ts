import type { Socket } from "node:net";
import type { Recipient, Reply, SmtpStage } from "@async-mail/domain/outcome";
import type SMTPConnection from "nodemailer/lib/smtp-connection";
import type { SMTPEnvelope } from "nodemailer/lib/smtp-connection";
import type { Composed } from "./composed.ts";
import { exchange, type SmtpError } from "./exchange.ts";
import { timerMs } from "./longest-timer.ts";
import { MessageBody } from "./message-body.ts";
import { oneLine } from "./one-line.ts";

/** How long each answer is waited for: before the final dot, and the one to it (RFC 5321 §4.5.3.2.6). */
export type ReplyTimeouts = { replyMs: number; dataReplyMs: number };

/** The slowest line that a message is still sent over. */
const SLOWEST_BYTES_PER_MS = 16;

/** nodemailer keeps the score of RCPT in the envelope it is given. */
type Score = { accepted?: string[]; rejectedErrors?: SmtpError[] };
type Progress = { begun: boolean; ended: boolean };

/** One message over an open connection. Never throws: whatever happens has a Reply. */
export async function sendMessage(
  smtp: SMTPConnection,
  composed: Composed,
  mayEnd: () => boolean,
  { replyMs, dataReplyMs }: ReplyTimeouts,
): Promise<Reply> {
  if (composed.smtpUtf8 !== null) {
    if (!offersSmtpUtf8(smtp)) return notTaken(composed.smtpUtf8);
    askForSmtpUtf8(smtp);
  }
  const envelope: SMTPEnvelope & Score = {
    from: composed.sender || false,
    to: [...composed.recipients],
    size: composed.size,
  };
  const progress: Progress = { begun: false, ended: false };
  smtp.lastServerResponse = false;
  socketOf(smtp)?.setTimeout(replyMs);
  try {
    const info = await exchange<{ response: string }>(smtp, replyMs * (composed.recipients.length + 2), (step) => {
      const body = new MessageBody(composed, {
        begun: () => {
          progress.begun = true;
          step.within(replyMs + composed.size / SLOWEST_BYTES_PER_MS);
        },
        mayEnd: () => {
          if (mayEnd()) return true;
          cut(smtp, "this dispatcher may no longer stand");
          return false;
        },
        ended: () => {
          progress.ended = true;
          step.within(dataReplyMs);
          socketOf(smtp)?.setTimeout(timerMs(dataReplyMs));
        },
        failed: (error) => cut(smtp, oneLine(`Attachment fetch failed: ${(error as Error).message}`), "EBODY"),
      });
      smtp.send(envelope, body, step.done);
    });
    if (!progress.ended) {
      cut(smtp, "out of step");
      return { kind: "broken", stage: "data", reason: "the server answered before the end of the message" };
    }
    return acceptedReply(oneLine(info?.response ?? ""), composed, envelope);
  } catch (error) {
    return failedReply(error as SmtpError, composed, envelope, progress, smtp);
  } finally {
    // An idle connection has no answer to wait for; how long it may rest is the lane's.
    if (!smtp.destroyed) socketOf(smtp)?.setTimeout(0);
  }
}

function failedReply(
  error: SmtpError,
  composed: Composed,
  score: Score,
  progress: Progress,
  smtp: SMTPConnection,
): Reply {
  const { responseCode: code = 0 } = error;
  const stage = stageOf(error, score, composed, progress, smtp.lastServerResponse !== false);
  if (code >= 400) {
    // A refusal in the middle of the body leaves the rest of it unsent: no further command would be read as one.
    if (stage === "data" && progress.begun) cut(smtp, "refused in the middle");
    const response = oneLine(error.response ?? "");
    // After a refused MAIL FROM, what a pipelined RCPT was answered says nothing about the recipient.
    const recipients = recipientsOf(composed, stage === "mail" ? {} : score);
    return { kind: "refused", stage, code, response, recipients };
  }
  if (error.command === "API" && error.code === "EENVELOPE")
    return { kind: "uncomposed", permanent: true, reason: error.message };
  if (error.code === "EMESSAGE" && error.command === "MAIL FROM") return tooLarge(composed, error);
  cut(smtp, "out of step");
  if (progress.ended) return { kind: "ambiguous", reason: reasonOf(error) };
  if (error.code === CUT) return { kind: "given_back", reason: error.message, mailFromSent: true };
  return { kind: "broken", stage, reason: reasonOf(error) };
}

function reasonOf(error: SmtpError): string {
  return error.code === "ETIMEDOUT" ? "no answer in time" : oneLine(error.message);
}

/** RFC 6531 §3.2: not to be asked of a server that did not offer it. */
function notTaken(address: string): Reply {
  const reason = `the server takes no address with letters outside ASCII before the @ (SMTPUTF8): ${address}`;
  return { kind: "uncomposed", permanent: true, reason };
}

/** nodemailer's note of the EHLO answer, which it shows in no other way. */
function offersSmtpUtf8(smtp: SMTPConnection): boolean {
  const { _supportedExtensions: offered } = smtp as unknown as { _supportedExtensions: string[] };
  return offered.includes("SMTPUTF8");
}

/** RFC 6531 §3.4 wants it for headers outside ASCII too; nodemailer asks only for the envelope's sake. */
function askForSmtpUtf8(smtp: SMTPConnection): void {
  const commands = smtp as unknown as { _sendCommand?(text: string, shown?: string): void };
  const send = commands._sendCommand?.bind(smtp);
  commands._sendCommand = (text, shown) => {
    delete commands._sendCommand; // for the next command alone
    const lacks = text.startsWith("MAIL FROM:") && !/ SMTPUTF8\b/.test(text);
    send?.(lacks ? `${text} SMTPUTF8` : text, shown);
  };
}

/** The server's EHLO named a size; nodemailer does not even ask then. */
function tooLarge(composed: Composed, error: SmtpError): Reply {
  const response = `552 5.3.4 ${error.message}, the message has ${composed.size} bytes`;
  return { kind: "refused", stage: "mail", code: 552, response, recipients: recipientsOf(composed, {}) };
}

function stageOf(
  error: SmtpError,
  score: Score,
  composed: Composed,
  progress: Progress,
  mailAnswered: boolean,
): SmtpStage {
  if (progress.ended) return "dot";
  if (progress.begun) return "data";
  if (error.command === "MAIL FROM") return "mail";
  if (error.command === "RCPT TO") return "rcpt";
  if (error.command === "DATA") return "data";
  const answered = (score.accepted?.length ?? 0) + (score.rejectedErrors?.length ?? 0);
  if (answered === composed.recipients.length) return "data";
  return mailAnswered ? "rcpt" : "mail";
}

function acceptedReply(response: string, composed: Composed, score: Score): Reply {
  const code = codeOf(response);
  const mixed = (score.rejectedErrors?.length ?? 0) > 0;
  const taken = mixed ? { code, response } : { code };
  return { kind: "accepted", code, response, recipients: recipientsOf(composed, score, taken) };
}

/** Each recipient's own answer; `taken`: what the final dot's means for those that RCPT accepted. */
function recipientsOf(composed: Composed, score: Score, taken?: { code: number; response?: string }): Recipient[] {
  const refusals = new Map((score.rejectedErrors ?? []).map((error) => [error.recipient, error]));
  return composed.recipients.map((address) => {
    const refusal = refusals.get(address);
    if (refusal === undefined)
      return taken ? { address, outcome: "accepted", ...taken } : { address, outcome: "waiting" };
    const { responseCode: code = 0, response = "" } = refusal;
    return { address, outcome: code >= 500 ? "refused" : "waiting", code, response: oneLine(response) };
  });
}

function codeOf(response: string): number {
  return Number.parseInt(response, 10) || 250;
}

/** What the error of a connection that we cut ourselves carries. */
const CUT = "ECUT";

/** Ends a connection at once; whoever waits for it gets `reason`. */
export function cut(smtp: SMTPConnection, reason: string, code = CUT): void {
  const socket = socketOf(smtp);
  if (!smtp.destroyed) smtp.emit("error", Object.assign(new Error(reason), { code }));
  smtp.close();
  socket?.destroy();
}

export function socketOf(smtp: SMTPConnection): Socket | null {
  return smtp._socket || null;
}
