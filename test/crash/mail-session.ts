import type { Socket } from "node:net";
import type { Kill } from "./killer.ts";
import type { Begun, MailBook, MailConnection } from "./mail-book.ts";
import { endData } from "./mail-data.ts";
import type { MessagePlan, SessionPlan, Step } from "./mail-faults.ts";
import { smtpWire, type Wire } from "./smtp-wire.ts";

export type SessionOptions = {
  connection: MailConnection;
  plan: SessionPlan;
  planOf(id: string, attempt: number): MessagePlan;
  book: MailBook;
  strike(dispatcher: string, kill: Kill): void;
};

/** A message under way. */
export type Transaction = { begun: Begun; plan: MessagePlan; recipients: string[]; rcpts: number };
export type Session = SessionOptions & { wire: Wire; transaction: Transaction | null };

/** One SMTP dialogue to its end, line by line, as its plan wants it. */
export async function serveSession(socket: Socket, options: SessionOptions): Promise<void> {
  const { plan } = options;
  const session: Session = { ...options, wire: smtpWire(socket, plan), transaction: null };
  if (plan.endsIdleAfterMs !== null) endWhenIdle(session, socket, plan.endsIdleAfterMs);
  let goesOn = await session.wire.act(plan.greeting, "220 crash.test ESMTP");
  while (goesOn) {
    const line = await session.wire.line();
    // What comes after our own end is not heard any more.
    goesOn = line !== null && !socket.writableEnded && (await obey(session, line));
  }
  socket.destroySoon();
}

/** As servers do that have had enough of idle clients. */
function endWhenIdle(session: Session, socket: Socket, afterMs: number): void {
  socket.setTimeout(afterMs, () => {
    if (session.transaction === null) socket.end();
  });
}

/** Answers whether the dialogue goes on. */
async function obey(session: Session, line: string): Promise<boolean> {
  const { wire, plan } = session;
  const [, verb = "", rest = ""] = /^([a-z]*)[ :]?(.*)$/i.exec(line) ?? [];
  switch (verb) {
    case "EHLO":
    case "HELO":
      session.connection.dispatcher = rest.replace(/\.crash\.test$/, "");
      return wire.act(plan.ehlo, verb === "HELO" ? "250 crash.test" : offers(session));
    case "AUTH":
      return wire.act(plan.auth, "235 2.7.0 Welcome");
    case "MAIL":
      return begin(session, rest);
    case "RCPT":
      return addRecipient(session, rest);
    case "DATA":
      return takeData(session);
    case "RSET":
      session.transaction = null;
      return wire.say("250 2.0.0 Forgotten");
    case "QUIT":
      await wire.say("221 2.0.0 Bye");
      return false;
    default:
      return wire.say("502 5.5.1 What?");
  }
}

function offers({ connection: { account }, plan }: Session): string {
  const extensions = [
    ...(plan.pipelining ? ["250-PIPELINING"] : []),
    ...(account === "login" ? ["250-AUTH PLAIN"] : []),
  ];
  return ["250-crash.test", ...extensions, "250 8BITMIME"].join("\r\n");
}

/** At that step of this message something befalls its dispatcher. */
export function strikeAt(step: Step, { strike }: Session, { begun, plan }: Transaction): void {
  if (plan.strike?.at === step) strike(begun.dispatcher, plan.strike.kill);
}

function begin(session: Session, rest: string): Promise<boolean> {
  const { book, wire } = session;
  const { account, dispatcher } = session.connection;
  const id = /<([^@>]*)@/.exec(rest)?.[1] ?? "";
  const begun = book.begin({ account, id, dispatcher, at: Date.now() });
  const plan = session.planOf(id, begun.attempt);
  begun.answer = plan.mail;
  const transaction = { begun, plan, recipients: [], rcpts: 0 };
  session.transaction = plan.mail === "agree" ? transaction : null;
  strikeAt("mail", session, transaction);
  return wire.act(plan.mail, "250 2.1.0 Go on");
}

function addRecipient(session: Session, rest: string): Promise<boolean> {
  const { transaction, wire } = session;
  if (transaction === null) return wire.say("503 5.5.1 MAIL first");
  const { plan, rcpts, recipients } = transaction;
  const does = plan.rcpt[rcpts % plan.rcpt.length] ?? "agree";
  transaction.rcpts += 1;
  if (does === "agree") recipients.push(/<([^>]*)>/.exec(rest)?.[1] ?? "");
  strikeAt("rcpt", session, transaction);
  return wire.act(does, "250 2.1.5 Fine");
}

async function takeData(session: Session): Promise<boolean> {
  const { transaction, wire } = session;
  if (transaction === null || transaction.recipients.length === 0) return wire.say("503 5.5.1 RCPT first");
  const { plan } = transaction;
  strikeAt("data", session, transaction);
  if (!(await wire.act(plan.data, "354 Go on"))) return false;
  if (plan.data !== "agree") return true;
  if (plan.body !== "read") return wire.act(plan.body, "");
  const raw = await readBody(wire);
  if (raw === null) return false;
  const goesOn = await endData(session, transaction, raw);
  session.transaction = null;
  return goesOn;
}

/** Up to the final dot; null: it never came. */
async function readBody(wire: Wire): Promise<string | null> {
  const body: string[] = [];
  for (;;) {
    const line = await wire.line();
    if (line === null) return null;
    if (line === ".") return body.join("\r\n");
    body.push(line.startsWith(".") ? line.slice(1) : line);
  }
}
