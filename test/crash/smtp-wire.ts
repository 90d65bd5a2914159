import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Act, SessionPlan } from "./mail-faults.ts";

/** The server's end of one connection: lines in, replies out, at the pace and with the manners of its plan. */
export type Wire = {
  /** The next line; null: the other side is gone. */
  line(): Promise<string | null>;
  /** Answers whether all of it was written. */
  say(text: string): Promise<boolean>;
  /** As `say`, without the line's end. */
  write(text: string): Promise<boolean>;
  /** Does as told; `usual` is what agreeing says. Answers whether the dialogue goes on. */
  act(does: Act, usual: string): Promise<boolean>;
  gone(): boolean;
};

/** Nobody is kept longer by a server that says nothing: longer than the time-outs of some accounts, and of DATA. */
const LONGEST_SILENCE_MS = 3500;
const SLOW_REPLY_MS = 80;
const PIECES = 10;

export function smtpWire(socket: Socket, plan: SessionPlan): Wire {
  const lines = readLines(socket);

  function write(text: string): Promise<boolean> {
    if (socket.destroyed) return Promise.resolve(false);
    return new Promise((resolve) => socket.write(text, "latin1", (error) => resolve(!error)));
  }

  async function say(text: string): Promise<boolean> {
    const bytes = `${text}\r\n`;
    if (plan.pace === "slowly") await pause(SLOW_REPLY_MS);
    if (plan.pace !== "in pieces") return write(bytes);
    const size = Math.ceil(bytes.length / PIECES);
    for (let from = 0; from < bytes.length; from += size) {
      if (!(await write(bytes.slice(from, from + size)))) return false;
      await pause(2);
    }
    return true;
  }

  return {
    line: lines.next,
    say,
    write,
    async act(does, usual) {
      if (does === "agree") return say(usual);
      if (does === "silence") await Promise.race([lines.ended, pause(LONGEST_SILENCE_MS)]);
      if (does === "silence" || does === "cut") {
        if (plan.resets) socket.resetAndDestroy();
        else socket.destroy();
        return false;
      }
      // After 421 a server closes.
      return (await say(does)) && !does.startsWith("421");
    },
    gone: () => socket.destroyed || socket.readableEnded,
  };
}

/** Reads all the time, so that the end of the other side is seen also while nobody asks for a line. */
function readLines(socket: Socket): { next(): Promise<string | null>; ended: Promise<void> } {
  const lines: string[] = [];
  let rest = "";
  let over = false;
  let wake: () => void = () => {};
  const ended = new Promise<void>((resolve) =>
    socket.once("close", () => {
      over = true;
      wake();
      resolve();
    }),
  );
  socket.setEncoding("latin1").on("data", (chunk) => {
    const pieces = (rest + chunk).split("\r\n");
    rest = pieces.pop() ?? "";
    lines.push(...pieces);
    wake();
  });
  return {
    ended,
    async next() {
      while (lines.length === 0 && !over)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      return lines.shift() ?? null;
    },
  };
}
