import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { USUAL_REPLIES } from "../support/usual-replies.ts";
import type { Answer, Fault, Moment, ServerScript, Step } from "./fault-case.ts";

/** The mailbox in whose messages a server finds fault; it agrees to all others. */
export const FAULTY_SENDER = "faulty@example.com";

/** From here on a fault is one message's; before it is the connection's. */
const OF_A_MESSAGE: readonly Step[] = ["MAIL", "RCPT", "DATA", "body", "."];

/** What a server of this script says, and how it says it. */
export function createReplies({ faults = [], offers = [], pieces = 1, lines = 1 }: ServerScript) {
  const seen = new Map<Fault, number>();
  const writing = new WeakMap<Socket, Promise<void>>();

  function to(moment: Moment): Answer {
    const fault = faults.find((one) => concerns(one, moment));
    if (fault === undefined) return usual(moment);
    seen.set(fault, (seen.get(fault) ?? 0) + 1);
    return fault.says;
  }

  function concerns(fault: Fault, { step, sender, recipient }: Moment): boolean {
    if (fault.at !== step || (seen.get(fault) ?? 0) >= (fault.times ?? Infinity)) return false;
    if (fault.of === undefined && OF_A_MESSAGE.includes(step) && sender !== FAULTY_SENDER) return false;
    return fault.to === undefined || fault.to.some((name) => recipient.startsWith(`${name}@`));
  }

  function usual(moment: Moment): Answer {
    const { step, secure } = moment;
    if (step === "body") return GO_ON;
    if (step !== "EHLO") return onLines(outOfOrder(moment) ?? USUAL[step] ?? "500 5.5.1 What is that?");
    const extensions = [...offers, "8BITMIME"].filter((one) => !(secure && one === "STARTTLS"));
    const words = ["fault.example.net", ...extensions];
    return words.map((word, i) => `250${i + 1 < words.length ? "-" : " "}${word}`).join("\r\n");
  }

  function outOfOrder({ step, sender, recipients }: Moment): string | undefined {
    const isOffered = offers.some((one) => one.startsWith(step));
    if ((step === "STARTTLS" || step === "AUTH") && !isOffered) return "502 5.5.1 Not offered";
    if (step === "RCPT" && sender === "") return "503 5.5.1 MAIL first";
    return step === "DATA" && recipients === 0 ? "554 5.5.1 No valid recipients" : undefined;
  }

  function onLines(reply: string): string {
    const code = reply.slice(0, 3);
    const more = Array.from({ length: lines - 1 }, (_, i) => `${code}-line ${i + 1}\r\n`);
    return more.join("") + reply;
  }

  /** One after the other, also where several commands came in one batch. */
  function write(socket: Socket, answer: Exclude<Answer, "cut" | "silence">): Promise<void> {
    const before = writing.get(socket) ?? Promise.resolve();
    const written = before.then(() => writePieces(socket, answer));
    writing.set(socket, written);
    return written;
  }

  async function writePieces(socket: Socket, answer: Exclude<Answer, "cut" | "silence">): Promise<void> {
    const bytes = Buffer.from(`${textOf(answer)}\r\n`, "latin1");
    const size = Math.ceil(bytes.length / pieces);
    for (let i = 0; i < pieces; i += 1) {
      if (i > 0) await pause(PIECE_MS);
      if (!socket.destroyed) socket.write(bytes.subarray(i * size, (i + 1) * size));
    }
    if (isLast(answer)) socket.end();
  }

  return { to, write };
}

/** No reply at all, as while a message comes in. */
export const GO_ON = "";

export function textOf(answer: Answer): string {
  return typeof answer === "string" ? answer : answer.text;
}

/** Who says 421 closes the connection (RFC 5321 §3.8). */
export function isLast(answer: Answer): boolean {
  return textOf(answer).startsWith("421") || (typeof answer !== "string" && answer.close);
}

/** Between two pieces of a reply: enough for each to arrive as a packet of its own. */
const PIECE_MS = 5;

const USUAL: Partial<Record<Step, string>> = {
  connect: "220 fault.example.net ESMTP",
  HELO: "250 fault.example.net",
  STARTTLS: "220 2.0.0 Go on",
  AUTH: "235 2.7.0 Welcome",
  ...USUAL_REPLIES,
};
