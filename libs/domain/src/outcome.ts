import type { Recipient } from "./recipient.ts";

export type { Recipient } from "./recipient.ts";

/** How far the dialogue was when it ended. */
export type SmtpStage =
  | "dns"
  | "connect"
  | "tls"
  | "greeting"
  | "ehlo"
  | "starttls"
  | "auth"
  | "mail"
  | "rcpt"
  | "data"
  | "dot";

/** What came of one attempt, as the relay and the composer saw it. What it means is for `decide`. */
export type Reply =
  /** The final dot was answered with 2yz. `recipients` are those of this attempt. */
  | { kind: "accepted"; code: number; response: string; recipients: Recipient[] }
  /** The server answered 4yz or 5yz. After a mixed RCPT, `recipients` tells which of them. */
  | { kind: "refused"; stage: SmtpStage; code: number; response: string; recipients: Recipient[] }
  /** The connection could not be had, or broke before MAIL FROM: the account's fault. */
  | {
      kind: "unreachable";
      stage: SmtpStage;
      reason: string;
      /** What stood in a greeting other than 220, of which nothing may be shown: code and enhanced code alone. */
      greeting?: { code: number; response: string };
    }
  /** The connection broke after MAIL FROM and before the final dot: the message's own, and surely not sent. */
  | { kind: "broken"; stage: SmtpStage; reason: string }
  /** The final dot was handed over and its answer never came. */
  | { kind: "ambiguous"; reason: string }
  /** No mail could be made of it. */
  | {
      kind: "uncomposed";
      permanent: boolean;
      reason: string;
      /** From now: when whoever has an attachment wants to be asked again. */
      retryAfterMs?: number;
    }
  /** Not begun, or cut before the dot, since the dispatcher is stopping or no longer stands. */
  | { kind: "given_back"; reason: string; mailFromSent: boolean };

/** The word before the colon of `deferred_reason`; one report for each class (contract §4.2). */
export type DeferralClass = "limit" | "retry" | "held" | "attachment";

/** The last of a message: nothing follows but its report. `mailFromSent`: in this attempt; then it counts for the limits. */
export type FinalOutcome =
  /** Somebody was accepted, now or in an earlier attempt, and nobody waits any more. */
  | {
      kind: "sent";
      code: number;
      response: string;
      recipients: Recipient[];
      mailFromSent: boolean;
      /** The reply to DATA of a later attempt, for those not yet accepted, never came. */
      ambiguous?: boolean;
    }
  | {
      kind: "error";
      error: string;
      code?: number;
      response?: string;
      recipients: Recipient[];
      mailFromSent: boolean;
      /** The reply to DATA never came. */
      ambiguous?: boolean;
    };

/** What is written for an attempt. Times are steady ms. */
export type Outcome =
  | FinalOutcome
  | {
      kind: "deferred";
      class: DeferralClass;
      /** `<class>: <text>` */
      reason: string;
      untilMs: number;
      /** False when the server was not spoken to about this message (its attachments could not be fetched). */
      countsAttempt: boolean;
      code?: number;
      response?: string;
      recipients: Recipient[];
      /** The reply to DATA never came. */
      ambiguous?: boolean;
    }
  /** A fault of the account: it is held, and the attempt does not count. This message waits with it, or has waited long enough. */
  | {
      kind: "held";
      reason: string;
      code?: number;
      response?: string;
      mailFromSent: boolean;
      /** The server found us too fast: the account also goes more slowly for a while. */
      throttled: boolean;
      /** When the server was asked about them: some may have been accepted, or refused for good, before the fault. */
      recipients?: Recipient[];
      end: FinalOutcome | null;
    }
  | { kind: "given_back"; reason: string; mailFromSent: boolean };
