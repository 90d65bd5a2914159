/** A step of the dialogue at which a server may be at fault: a command, or one of the moments that are none. */
export type Step =
  | "connect"
  | "handshake"
  | "EHLO"
  | "HELO"
  | "STARTTLS"
  | "AUTH"
  | "MAIL"
  | "RCPT"
  | "DATA"
  | "body"
  | "."
  | "RSET"
  | "QUIT";

/** A reply, with `close` the last on its connection; no reply, for good; or the end of the connection instead. */
export type Answer = string | { text: string; close: boolean } | "cut" | "silence";

/** Where the dialogue is: the sender once MAIL FROM was said, the recipient of this RCPT TO, how many were taken so far. */
export type Moment = { step: Step; sender: string; recipient: string; secure: boolean; recipients: number };

export type Fault = {
  at: Step;
  says: Answer;
  /** How often; default: for ever. */
  times?: number;
  /** Only of these recipients, by the name before the @. */
  to?: string[];
  /** From MAIL FROM on a fault is that of the first message only, unless it is everyone's. */
  of?: "anyone";
};

export type ServerScript = {
  faults?: Fault[];
  /** Extensions beside 8BITMIME. */
  offers?: string[];
  certificate?: "localhost" | "elsewhere" | "expired" | "self-signed";
  implicitTls?: boolean;
  /** Each reply comes in so many pieces. */
  pieces?: number;
  /** Each reply but that to EHLO has so many lines. */
  lines?: number;
  /** Nobody listens, until the case says `listen`. */
  closedAtFirst?: boolean;
};

/** What a person sees of the first message and its account, once nothing more happens soon. */
export type Expected = {
  status: "sent" | "error" | "deferred";
  /** Of the error, or of the reason for the wait. */
  text?: RegExp;
  attempts: number;
  /** Outcomes in the history, in order; the last may be repeated. */
  history: string[];
  recipients: Record<string, number>;
  account: "ready" | "held";
  /** What becomes of another message of the account. */
  other: "sent" | "waits";
  /** How often the server got the whole message; of a held account's, in each attempt. */
  taken: number;
  /** By the names before the @: for whom the server accepted it, in each transaction. */
  envelopes?: string[][];
  /** Whose transactions the server got first: the faulty message's or the other's. */
  firstSenders?: ("faulty" | "other")[];
  /** No command like this may reach the server. */
  neverSaid?: RegExp;
};

export type FaultCase = {
  /** Names the case; the row's name when it is its only one. */
  name: string;
  server: ServerScript;
  /** Over an account at the server without TLS and password. */
  account?: Record<string, unknown>;
  /** Over a message to one recipient. */
  message?: Record<string, unknown>;
  expected: Expected;
  /** Must be read nowhere: not in records, reports or logs. */
  unquoted?: string[];
  /** The fault ends, by a deed of the server's or the operator's, once the account is held. */
  mended?: "listens" | "new password" | "verified";
};

/** One row of the table: faults after which the same must happen. */
export type FaultRow = { fault: string; must: string; cases: FaultCase[] };

export const ONE = { accepted: 1 };

/** The account is at fault: it is held, and nothing of it counts against the message. */
export function held(text: RegExp, more: Partial<Expected> = {}): Expected {
  return {
    status: "deferred",
    text,
    attempts: 0,
    history: ["held"],
    recipients: { waiting: 1 },
    account: "held",
    other: "waits",
    taken: 0,
    ...more,
  };
}

/** The message's own fault, and it may pass: seen after the second attempt, with an hour to the third. */
export function retried(text: RegExp, more: Partial<Expected> = {}): Expected {
  return {
    status: "deferred",
    text,
    attempts: 2,
    history: ["deferred: retry", "deferred: retry"],
    recipients: { waiting: 1 },
    account: "ready",
    other: "sent",
    taken: 0,
    ...more,
  };
}

export function refused(text: RegExp, more: Partial<Expected> = {}): Expected {
  return {
    status: "error",
    text,
    attempts: 1,
    history: ["error"],
    recipients: { refused: 1 },
    account: "ready",
    other: "sent",
    taken: 0,
    ...more,
  };
}

export function sent(more: Partial<Expected> = {}): Expected {
  return {
    status: "sent",
    attempts: 1,
    history: ["sent"],
    recipients: ONE,
    account: "ready",
    other: "sent",
    taken: 1,
    ...more,
  };
}
