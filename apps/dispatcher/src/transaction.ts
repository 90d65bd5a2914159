import type { Recipient, Reply, SmtpStage } from "@async-mail/domain/outcome";
import type { Composed } from "./composed.ts";
import { UnreadableFile, wirePieces } from "./message-body.ts";
import { oneLine } from "./one-line.ts";
import { type Session, SessionEnded, type SmtpReply } from "./session.ts";

/** How long each answer is waited for: before the final dot, and the one to it (RFC 5321 §4.5.3.2.6). */
export type ReplyTimeouts = { replyMs: number; dataReplyMs: number };

/** The slowest line that a message is still sent over. */
const SLOWEST_BYTES_PER_MS = 16;
const NO_LONGER_STANDS = "this dispatcher may no longer stand";

/** How far a mail transaction (RFC 5321 §3.3) has come: the replies to MAIL, to each RCPT and to DATA, and the rest. */
type Progress = {
  mail: SmtpReply | null;
  recipients: SmtpReply[];
  data: SmtpReply | null;
  begun: boolean;
  /** From here on the final dot may have reached the server. */
  ended: boolean;
};

/** A message of which the envelope is said, and may be answered already. */
export type Begun = {
  composed: Composed;
  progress: Progress;
  /** Null: the content is wanted. Throws SessionEnded. */
  envelope: Promise<Reply | null>;
};

/** Says MAIL, RCPT and DATA, as far as they may be said before they are answered. */
export function beginMessage(session: Session, composed: Composed, replyMs: number): Begun {
  const progress: Progress = { mail: null, recipients: [], data: null, begun: false, ended: false };
  const refused = notToBeAsked(session, composed);
  const asked = refused === null ? envelope(session, composed, progress, replyMs) : Promise.resolve(refused);
  asked.catch(() => {}); // whoever finishes the message hears of it
  return { composed, progress, envelope: asked };
}

export type Finishing = {
  /** Asked before the final dot; false cuts the connection. */
  mayEnd(): boolean;
  /** Called with the final dot, where the server takes what follows it in one go (RFC 2920 §3.1): begins the next message. */
  follow(): void;
};

/** The rest of a message that was begun. Never throws: whatever happens has a Reply. */
export async function finishMessage(
  session: Session,
  { composed, progress, envelope }: Begun,
  finishing: Finishing,
  timeouts: ReplyTimeouts,
): Promise<Reply> {
  try {
    return (await envelope) ?? (await content(session, composed, progress, finishing, timeouts));
  } catch (error) {
    session.cut("out of step");
    return brokenOff(error, composed, progress);
  }
}

/** What the server said in EHLO, or what the addresses are, tells already. Null: it is to be asked. */
export function notToBeAsked({ extensions }: Session, composed: Composed): Reply | null {
  const { sender, recipients, smtpUtf8, size } = composed;
  const impossible = [sender, ...recipients].find((address) => /[\r\n<>\0]/.test(address));
  if (recipients.length === 0 || impossible !== undefined)
    return uncomposed(
      impossible === undefined ? "No recipients defined" : `Invalid address ${JSON.stringify(impossible)}`,
    );
  // RFC 6531 §3.2: not to be asked of a server that did not offer it.
  if (smtpUtf8 !== null && !extensions.has("SMTPUTF8"))
    return uncomposed(`the server takes no address with letters outside ASCII before the @ (SMTPUTF8): ${smtpUtf8}`);
  const most = Number.parseInt(extensions.get("SIZE") ?? "", 10) || 0; // without a number: no fixed limit (RFC 1870 §4)
  if (most === 0 || size <= most) return null;
  const response = `552 5.3.4 Message size larger than allowed ${most}, the message has ${size} bytes`;
  return { kind: "refused", stage: "mail", code: 552, response, recipients: asTheyWere(composed) };
}

function uncomposed(reason: string): Reply {
  return { kind: "uncomposed", permanent: true, reason };
}

/** MAIL, RCPT and DATA, all at once where the server offers PIPELINING (RFC 2920). Null: the content is wanted. */
async function envelope(
  session: Session,
  composed: Composed,
  progress: Progress,
  replyMs: number,
): Promise<Reply | null> {
  const commands = [
    mailCommand(session, composed),
    ...composed.recipients.map((address) => `RCPT TO:<${address}>\r\n`),
  ];
  const heard = (reply: SmtpReply) => hear(progress, composed, reply);
  if (session.extensions.has("PIPELINING"))
    await session.ask(`${commands.join("")}DATA\r\n`, commands.length + 1, replyMs, heard);
  else {
    for (const command of commands) if (isOpen(progress)) await session.ask(command, 1, replyMs, heard);
    if (isOpen(progress) && progress.recipients.some(isPositive)) await session.ask("DATA\r\n", 1, replyMs, heard);
  }
  const refused = refusal(composed, progress, session.extensions.has("PIPELINING"));
  if (refused !== null && progress.data !== null && isIntermediate(progress.data))
    await endUnwanted(session, progress, replyMs);
  return refused;
}

function mailCommand({ extensions }: Session, { sender, size, smtpUtf8 }: Composed): string {
  const parameters = [
    // RFC 6531 §3.4 wants it for headers outside ASCII too.
    ...(smtpUtf8 === null ? [] : ["SMTPUTF8"]),
    ...(extensions.has("SIZE") && size > 0 ? [`SIZE=${size}`] : []),
  ];
  return `${[`MAIL FROM:<${sender}>`, ...parameters].join(" ")}\r\n`;
}

function hear(progress: Progress, { recipients }: Composed, reply: SmtpReply): void {
  if (progress.mail === null) progress.mail = reply;
  else if (progress.recipients.length < recipients.length) progress.recipients.push(reply);
  else progress.data = reply;
}

/** Nothing that was heard so far ends it. */
function isOpen({ mail, recipients }: Progress): boolean {
  const last = recipients.at(-1) ?? mail;
  return (mail === null || isPositive(mail)) && last?.code !== 421;
}

/** What the envelope's replies come to; null: DATA was answered with 354 for somebody. */
function refusal(composed: Composed, { mail, recipients, data }: Progress, pipelined: boolean): Reply | null {
  // 421 ends the session, whatever it answers (RFC 5321 §3.8): who was accepted before it gets nothing.
  if (mail === null || !isPositive(mail)) return refused("mail", mail, asTheyWere(composed));
  const last = recipients.at(-1);
  if (last?.code === 421) return refused("rcpt", last, answersOf(composed, recipients));
  if (!recipients.some(isPositive)) {
    // One that may pass, where there is one: the last might be final for that recipient alone.
    const passing = recipients.find(({ code }) => code < 500);
    return refused("rcpt", passing ?? last ?? null, answersOf(composed, recipients));
  }
  // Some servers answer 250 where 354 is meant. Of one that was told all at once it may be the answer to another command:
  // a server that answers one twice must not have its next refusal taken for a yes.
  if (data !== null && (isIntermediate(data) || (isPositive(data) && !pipelined))) return null;
  return refused("data", data, answersOf(composed, recipients));
}

function refused(stage: SmtpStage, reply: SmtpReply | null, recipients: Recipient[]): Reply {
  if (reply === null || reply.code < 400) throw new SessionEnded("the server is out of step", "out of step");
  return { kind: "refused", stage, code: reply.code, response: oneLine(reply.text), recipients };
}

/** A server that takes DATA although nobody is to get it (RFC 2920 §3.1). */
async function endUnwanted(session: Session, { mail }: Progress, replyMs: number): Promise<void> {
  // One that refused the sender and goes on all the same cannot be trusted with an empty message either.
  if (mail !== null && isPositive(mail)) await session.ask(".\r\n", 1, replyMs).catch(() => {});
  else session.cut("out of step");
}

/** The message itself, and the server's answer to its final dot. */
async function content(
  session: Session,
  composed: Composed,
  progress: Progress,
  { mayEnd, follow }: Finishing,
  { replyMs, dataReplyMs }: ReplyTimeouts,
): Promise<Reply> {
  progress.begun = true;
  const lastMs = performance.now() + replyMs + composed.size / SLOWEST_BYTES_PER_MS;
  for await (const { bytes, isLast } of wirePieces(composed.parts)) {
    if (!isLast) {
      await session.write(bytes, Math.min(replyMs, lastMs - performance.now()));
      continue;
    }
    if (!mayEnd()) throw new SessionEnded(NO_LONGER_STANDS, "cut");
    session.check(); // of a session that has ended meanwhile nothing leaves any more
    progress.ended = true;
    const answered = session.together(() => {
      const asked = session.ask(bytes, 1, dataReplyMs);
      if (session.extensions.has("PIPELINING")) follow();
      return asked;
    });
    const [reply] = await answered;
    return accepted(composed, progress, reply as SmtpReply);
  }
  throw new Error("a message without an end");
}

function accepted(composed: Composed, { recipients }: Progress, reply: SmtpReply): Reply {
  const { code } = reply;
  const response = oneLine(reply.text);
  if (!isPositive(reply)) {
    if (code < 400) throw new SessionEnded("the server is out of step", "out of step");
    return { kind: "refused", stage: "dot", code, response, recipients: answersOf(composed, recipients) };
  }
  const mixed = !recipients.every(isPositive);
  const taken = mixed ? { code, response } : { code };
  return { kind: "accepted", code, response, recipients: answersOf(composed, recipients, taken) };
}

/** The session ended in the middle of it, or a file could not be read. */
function brokenOff(error: unknown, composed: Composed, progress: Progress): Reply {
  const ended = error instanceof SessionEnded ? error : null;
  const reason = oneLine((error as Error).message);
  if (progress.ended) return { kind: "ambiguous", reason };
  if (ended === null) {
    const text = error instanceof UnreadableFile ? `Attachment fetch failed: ${reason}` : `internal error: ${reason}`;
    return { kind: "broken", stage: "data", reason: oneLine(text) };
  }
  if (ended.why === "cut") return { kind: "given_back", reason, mailFromSent: true };
  if (progress.begun && ended.unasked !== null) return answeredEarly(ended.unasked, composed, progress);
  return { kind: "broken", stage: stageOf(composed, progress), reason };
}

/** In the middle of the content, whose rest is left unsent. */
function answeredEarly(reply: SmtpReply, composed: Composed, { recipients }: Progress): Reply {
  if (reply.code >= 400) return refused("data", reply, answersOf(composed, recipients));
  return { kind: "broken", stage: "data", reason: "the server answered before the end of the message" };
}

function stageOf({ recipients }: Composed, { mail, recipients: answered, begun }: Progress): SmtpStage {
  if (begun || answered.length === recipients.length) return "data";
  return mail === null || !isPositive(mail) ? "mail" : "rcpt";
}

function asTheyWere({ recipients }: Composed): Recipient[] {
  return recipients.map((address) => ({ address, outcome: "waiting" }));
}

/** Each recipient's own answer; `taken`: what the final dot's means for those that RCPT accepted. */
function answersOf(
  { recipients }: Composed,
  answers: SmtpReply[],
  taken?: { code: number; response?: string },
): Recipient[] {
  return recipients.map((address, index) => {
    const answer = answers[index];
    if (answer === undefined || isPositive(answer))
      return taken && answer ? { address, outcome: "accepted", ...taken } : { address, outcome: "waiting" };
    const { code, text } = answer;
    return { address, outcome: code >= 500 ? "refused" : "waiting", code, response: oneLine(text) };
  });
}

function isPositive({ code }: SmtpReply): boolean {
  return code >= 200 && code < 300;
}

function isIntermediate({ code }: SmtpReply): boolean {
  return code >= 300 && code < 400;
}
