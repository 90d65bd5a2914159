import type { Socket } from "node:net";
import type { Answer, Step } from "./fault-case.ts";
import { type createReplies, GO_ON, isLast, textOf } from "./fault-replies.ts";

/** A message, or the beginning of one, as the server got it. */
export type Transaction = {
  sender: string;
  recipients: string[];
  /** The final dot has come. */
  whole: boolean;
  /** What the server said to the final dot; null: nothing yet, or never. */
  answered: string | null;
  messageId: string | null;
  date: string | null;
};

/** What came, over all connections. */
export type Seen = { transactions: Transaction[]; commands: string[] };

/** What is to be done with each piece that comes over a socket. */
export type Hearing = (socket: Socket) => (chunk: Buffer) => void;

type SessionOptions = {
  replies: ReturnType<typeof createReplies>;
  seen: Seen;
  secure: boolean;
  encrypt(socket: Socket, hear: Hearing): void;
};

/** So much of a message is kept: its header is in it. */
const HEAD_BYTES = 8_192;
const END = "\r\n.\r\n";

/** One connection's dialogue; the socket under it is replaced once by an encrypted one. */
export function createSession({ replies, seen, secure, encrypt }: SessionOptions) {
  let buffered = "";
  let mute = false;
  let transaction: Transaction | null = null;
  let inData = false;

  const hear: Hearing = (socket) => (chunk) => {
    if (mute) return;
    buffered += chunk.toString("latin1");
    while (!mute && (inData ? hearBody(socket) : hearLine(socket)));
  };

  function hearLine(socket: Socket): boolean {
    const end = buffered.indexOf("\n");
    if (end === -1) return false;
    const line = buffered.slice(0, end).trimEnd();
    buffered = buffered.slice(end + 1);
    seen.commands.push(line);
    obey(socket, line);
    return true;
  }

  function obey(socket: Socket, line: string): void {
    const step = (/^[a-z]+/i.exec(line)?.[0] ?? "").toUpperCase() as Step;
    if (step === "MAIL") transaction = begun(line);
    const answer = ask(step, line);
    const yes = /^[23]/.test(textOf(answer));
    if (step === "MAIL" && !yes) transaction = null;
    if (step === "RCPT" && yes) transaction?.recipients.push(addressIn(line));
    if (step === "DATA" && yes) inData = true;
    const said = say(socket, answer);
    if (step === "STARTTLS" && yes) void said.then(() => upgrade(socket));
  }

  function begun(line: string): Transaction {
    const sender = addressIn(line);
    const created = { sender, recipients: [], whole: false, answered: null, messageId: null, date: null };
    seen.transactions.push(created);
    return created;
  }

  function hearBody(socket: Socket): boolean {
    const inMiddle = ask("body", "");
    if (inMiddle !== GO_ON) {
      void say(socket, inMiddle);
      return false;
    }
    readHeader();
    const end = `\r\n${buffered}`.indexOf(END);
    if (end === -1) {
      // Only the header and what may be half of the end are of any use later.
      if (buffered.length > 2 * HEAD_BYTES) buffered = buffered.slice(0, HEAD_BYTES) + buffered.slice(-4);
      return false;
    }
    buffered = buffered.slice(end + END.length - 2);
    inData = false;
    if (transaction) transaction.whole = true;
    const answer = ask(".", ".");
    if (transaction && answer !== "cut" && answer !== "silence") transaction.answered = textOf(answer);
    void say(socket, answer);
    return true;
  }

  function readHeader(): void {
    if (!transaction || transaction.messageId !== null) return;
    transaction.messageId = /^message-id:\s*(<[^>]*>)/im.exec(buffered)?.[1] ?? null;
    transaction.date = /^date:\s*(.*?)\r$/im.exec(buffered)?.[1] ?? null;
  }

  function ask(step: Step, line: string): Answer {
    const recipient = step === "RCPT" ? addressIn(line) : "";
    const { sender = "", recipients = [] } = transaction ?? {};
    return replies.to({ step, sender, recipient, secure, recipients: recipients.length });
  }

  async function say(socket: Socket, answer: Answer): Promise<void> {
    // After 421 the connection ends, whatever else has come in the same batch.
    if (answer === "silence" || isLast(answer)) mute = true;
    if (answer === "silence") socket.pause();
    else if (answer === "cut") socket.destroy();
    else await replies.write(socket, answer);
  }

  function upgrade(socket: Socket): void {
    buffered = "";
    secure = true;
    socket.removeAllListeners("data");
    const handshake = ask("handshake", "");
    if (handshake === "cut") socket.destroy();
    else if (handshake !== "silence") encrypt(socket, hear);
  }

  return { hear, greet: (socket: Socket) => void say(socket, ask("connect", "")) };
}

function addressIn(line: string): string {
  return /<([^>]*)>/.exec(line)?.[1] ?? "";
}
