import type { Socket } from "node:net";

/** A server's answer to a command; the lines of one that has several are joined by LF. */
export type SmtpReply = { code: number; text: string };

/**
 * An SMTP session that is greeted, encrypted and logged in: commands go out, replies come in, in order (RFC 5321 §4.2),
 * several at a time where they may (RFC 2920). It knows nothing of what they mean.
 */
export type Session = {
  /** As EHLO offered them: the keyword in capitals, and what stood behind it. */
  extensions: ReadonlyMap<string, string>;
  alive(): boolean;
  /** Throws SessionEnded where it is not alive any more. */
  check(): void;
  /**
   * Writes, and resolves with as many replies, or fewer where one is 421, after which none follows. Each reply may take
   * so long after the one before it, or after those to what was asked before; `heard` is told of each. Throws
   * SessionEnded.
   */
  ask(
    bytes: string | Uint8Array,
    replies: number,
    eachMs: number,
    heard?: (reply: SmtpReply) => void,
  ): Promise<SmtpReply[]>;
  /** What `action` writes leaves together. */
  together<T>(action: () => T): T;
  /** Writes, and resolves when there is room for more. Throws SessionEnded, also when the server answers unasked. */
  write(bytes: Uint8Array, withinMs: number): Promise<void>;
  /** Says QUIT, and ends it however long the server lets us wait (a few seconds at most). */
  quit(): void;
  /** Ends it now; whoever waits gets `reason`. */
  cut(reason: string): void;
  /** Resolves when the connection is closed on both sides. */
  closed: Promise<void>;
};

export type Why = "cut" | "timeout" | "broken" | "out of step";

/** The session is of no more use; the message says why. */
export class SessionEnded extends Error {
  override name = "SessionEnded";
  why: Why;
  /** What the server said when nothing had been asked. */
  unasked: SmtpReply | null;

  constructor(message: string, why: Why, unasked: SmtpReply | null = null) {
    super(message);
    this.why = why;
    this.unasked = unasked;
  }
}

/** Of one reply, in characters: far more than any real one has. */
const LONGEST_REPLY = 1024 * 1024;
/** How long QUIT and the server's close after it may take together. */
export const QUIT_MS = 3_000;
/** How often a deadline is looked at: a timer for each reply would cost more than reading it. */
const LOOK_MS = 1_000;

type Waiting = {
  replies: number;
  eachMs: number;
  got: SmtpReply[];
  heard: ((reply: SmtpReply) => void) | undefined;
  resolve(replies: SmtpReply[]): void;
  reject(error: SessionEnded): void;
};
type Draining = { resolve(): void; reject(error: SessionEnded): void };

/** Takes the socket over from whoever opened it. `offered`: the lines of EHLO's reply after the first, without the code. */
export function createSession(socket: Socket, offered: readonly string[]): Session {
  /** In the order in which they asked. */
  const waiting: Waiting[] = [];
  let draining: Draining | null = null;
  let end: SessionEnded | null = null;
  let quitting = false;
  /** What is to leave together, while it is gathered: one write costs less than two, or one of several pieces. */
  let gathered: Uint8Array[] | null = null;
  /** Of a line that has not come to its end. */
  let rest = "";
  /** Lines of a reply that has not. */
  let partial = "";
  const deadline = createDeadline(() => finish(new SessionEnded("no answer in time", "timeout")));
  const closed = new Promise<void>((resolve) => {
    if (socket.closed) resolve();
    else socket.once("close", resolve);
  });

  function send(bytes: string | Uint8Array): void {
    if (gathered === null) socket.write(bytes);
    else gathered.push(typeof bytes === "string" ? Buffer.from(bytes) : bytes);
  }

  function finish(error: SessionEnded): void {
    if (end !== null) return;
    end = error;
    deadline.none();
    for (const one of waiting.splice(0)) one.reject(error);
    draining?.reject(error);
    draining = null;
    if (!quitting) socket.destroy();
  }

  function onData(chunk: Buffer): void {
    const text = chunk.toString("latin1");
    // Looked through only where a line ends: a peer that never ends one must not have all of it read at every chunk.
    if (text.includes("\n")) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) onLine(line.endsWith("\r") ? line.slice(0, -1) : line);
    } else rest += text;
    if (rest.length + partial.length > LONGEST_REPLY)
      finish(new SessionEnded("Server response exceeds maximum allowed size", "broken"));
  }

  function onLine(line: string): void {
    if (line === "" && partial === "") return;
    const text = partial === "" ? line : `${partial}\n${line}`;
    if (/^\d+-/.test(line)) partial = text;
    else {
      partial = "";
      onReply({ code: Number.parseInt(text, 10) || 0, text: decoded(text) });
    }
  }

  function onReply(reply: SmtpReply): void {
    if (end !== null) return;
    if (quitting) socket.end();
    else if (waiting[0] === undefined) finish(new SessionEnded("the server spoke unasked", "out of step", reply));
    else answer(waiting[0], reply);
  }

  function answer({ got, replies, eachMs, heard, resolve }: Waiting, reply: SmtpReply): void {
    got.push(reply);
    heard?.(reply);
    const over = reply.code === 421;
    if (got.length < replies && !over) {
      deadline.within(eachMs);
      return;
    }
    waiting.shift();
    if (waiting[0] === undefined) deadline.none();
    else deadline.within(waiting[0].eachMs);
    resolve(got);
    if (over) finish(new SessionEnded("the server ended the connection", "broken"));
  }

  function onClose(): void {
    // Some servers say goodbye without ending the line.
    if (/^[45]\d\d[ -]/.test(rest) && waiting.length > 0) onLine(rest);
    finish(new SessionEnded("Connection closed unexpectedly", "broken"));
  }

  function onDrain(): void {
    if (draining === null) return;
    const { resolve } = draining;
    draining = null;
    deadline.none();
    resolve();
  }

  socket.removeAllListeners("data");
  socket.setTimeout(0);
  socket.on("data", onData);
  socket.on("error", (error) => finish(new SessionEnded(error.message, "broken")));
  socket.on("close", onClose);
  socket.on("drain", onDrain);

  return {
    extensions: extensionsOf(offered),
    closed,
    check: () => {
      if (end !== null) throw end;
    },
    alive: () => end === null && !quitting && !socket.destroyed,
    ask(bytes, replies, eachMs, heard) {
      return new Promise((resolve, reject) => {
        if (end !== null) return reject(end);
        if (waiting.push({ replies, eachMs, got: [], heard, resolve, reject }) === 1) deadline.within(eachMs);
        send(bytes);
      });
    },
    together(action) {
      gathered = [];
      try {
        return action();
      } finally {
        const all = gathered;
        gathered = null;
        send(Buffer.concat(all));
      }
    },
    write(bytes, withinMs) {
      return new Promise<void>((resolve, reject) => {
        if (end !== null) return reject(end);
        if (socket.write(bytes)) return resolve();
        draining = { resolve, reject };
        deadline.within(withinMs);
      });
    },
    quit() {
      if (end !== null || quitting) return;
      quitting = true;
      // Also against a server that drips: a stop waits for this.
      const timer = setTimeout(() => socket.destroy(), QUIT_MS);
      void closed.then(() => clearTimeout(timer));
      socket.write("QUIT\r\n");
    },
    cut(reason) {
      finish(new SessionEnded(reason, "cut"));
      socket.destroy();
    },
  };
}

/** One moment at a time by which something is to have happened, else `missed`. */
function createDeadline(missed: () => void) {
  let atMs = Number.POSITIVE_INFINITY;
  let lookMs = Number.POSITIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;

  function look(): void {
    lookMs = Number.POSITIVE_INFINITY;
    const leftMs = atMs - performance.now();
    if (leftMs <= 0) missed();
    else if (leftMs < Number.POSITIVE_INFINITY) wait(leftMs);
  }

  function wait(ms: number): void {
    clearTimeout(timer);
    const waitMs = Math.min(ms, LOOK_MS);
    lookMs = performance.now() + waitMs;
    timer = setTimeout(look, waitMs);
  }

  return {
    within(ms: number): void {
      atMs = performance.now() + ms;
      if (atMs < lookMs) wait(ms);
    },
    none(): void {
      atMs = Number.POSITIVE_INFINITY;
    },
  };
}

/** RFC 5321 §4.1.1.1: a keyword, and what belongs to it. */
function extensionsOf(offered: readonly string[]): Map<string, string> {
  return new Map(
    offered.map((line) => {
      const [keyword = "", ...parameters] = line.split(" ");
      return [keyword.toUpperCase(), parameters.join(" ")];
    }),
  );
}

/** RFC 6531 §3.7.4.2: replies may be UTF-8. */
function decoded(text: string): string {
  return /[\x80-\xff]/.test(text) ? Buffer.from(text, "latin1").toString("utf8") : text;
}
