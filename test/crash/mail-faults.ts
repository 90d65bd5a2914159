import { type Chance, chance } from "../support/random.ts";
import type { Kill } from "./killer.ts";

/** What a server does where it is asked something: the usual, a reply of its own, breaking off, or nothing at all. */
export type Act = "agree" | "cut" | "silence" | `${number} ${string}`;

/** After the final dot the server may also take the message and yet not say so. */
export type DotAct = Act | "take, then cut" | "take, then silence" | "take, half a reply" | "take late";

export type SessionPlan = {
  greeting: Act;
  ehlo: Act;
  auth: Act;
  pipelining: boolean;
  /** How replies are written. */
  pace: "at once" | "slowly" | "in pieces";
  /** It ends the connection when it has been idle for so long; null: never. */
  endsIdleAfterMs: number | null;
  /** A cut is a reset rather than an orderly end. */
  resets: boolean;
};

export type MessagePlan = {
  mail: Act;
  /** One for each RCPT; the last repeats. */
  rcpt: Act[];
  data: Act;
  body: "read" | "cut" | "silence";
  dot: DotAct;
  lateMs: number;
  /** What happens to the dispatcher at that step; after the final dot, before its reply, is where it hurts most. */
  strike: { at: Step; kill: Kill } | null;
};

export type Step = "mail" | "rcpt" | "data" | "dot" | "reply";

export const CALM_SESSION: SessionPlan = {
  greeting: "agree",
  ehlo: "agree",
  auth: "agree",
  pipelining: true,
  pace: "at once",
  endsIdleAfterMs: null,
  resets: false,
};

export const CALM_MESSAGE: MessagePlan = {
  mail: "agree",
  rcpt: ["agree"],
  data: "agree",
  body: "read",
  dot: "agree",
  lateMs: 0,
  strike: null,
};

/** A fault before MAIL FROM holds the whole account, so that few of these go a long way. */
const SESSION_FAULT = 0.06;
const MESSAGE_FAULT = 0.4;
const RECIPIENT_FAULT = 0.15;
const STRIKE = 0.03;

/** How the server treats one connection: the `number`-th of the account. */
export function sessionPlan(seed: string, account: string, number: number): SessionPlan {
  const random = chance(seed, "session", account, number);
  const plan: SessionPlan = {
    ...CALM_SESSION,
    pipelining: random.happens(0.5),
    pace: random.weighted([
      [8, "at once"],
      [1, "slowly"],
      [1, "in pieces"],
    ]),
    endsIdleAfterMs: random.happens(0.15) ? random.between(0, 1500) : null,
    resets: random.happens(0.5),
  };
  if (!random.happens(SESSION_FAULT)) return plan;
  const step = random.pick(["greeting", "ehlo", "auth"] as const);
  return { ...plan, [step]: random.pick(SESSION_ACTS[step]) };
}

const SESSION_ACTS: Record<"greeting" | "ehlo" | "auth", readonly Act[]> = {
  greeting: ["cut", "silence", "421 4.3.0 Too busy", "554 5.3.2 No service here"],
  ehlo: ["cut", "silence", "421 4.3.0 Later", "451 4.3.0 Not now", "550 5.7.1 Not you"],
  auth: ["cut", "silence", "454 4.7.0 Too many login attempts", "535 5.7.8 Wrong password"],
};

/** How the server treats one MAIL FROM: the `attempt`-th of the message. */
export function messagePlan(seed: string, account: string, id: string, attempt: number): MessagePlan {
  const random = chance(seed, "message", id, attempt);
  const plan: MessagePlan = {
    ...CALM_MESSAGE,
    rcpt: recipientActs(random),
    lateMs: random.between(200, 1500),
    strike: random.happens(STRIKE) ? { at: random.weighted(STRIKES_AT), kill: random.weighted(STRIKES) } : null,
  };
  if (!random.happens(MESSAGE_FAULT)) return plan;
  const step = random.weighted([
    [2, "mail"],
    [2, "rcpt"],
    [2, "data"],
    [1, "body"],
    [6, "dot"],
  ] as const);
  if (step === "rcpt") return { ...plan, rcpt: [random.pick(RCPT_ACTS)] };
  if (step === "body") return { ...plan, body: random.pick(["cut", "silence"] as const) };
  if (step === "dot") return { ...plan, dot: random.weighted(account === "default" ? DOT_ACTS : THROTTLING_DOT_ACTS) };
  return { ...plan, [step]: random.weighted(step === "mail" ? MAIL_ACTS : DATA_ACTS) };
}

const STRIKES_AT: readonly (readonly [number, Step])[] = [
  [2, "mail"],
  [2, "rcpt"],
  [2, "data"],
  [4, "dot"],
  [2, "reply"],
];
const STRIKES: readonly (readonly [number, Kill])[] = [
  [3, "SIGKILL"],
  [1, "SIGTERM"],
  [3, "SIGSTOP, long"],
];

function recipientActs(random: Chance): Act[] {
  return Array.from({ length: 5 }, () =>
    random.happens(RECIPIENT_FAULT)
      ? random.pick(["450 4.2.1 Busy", "452 4.5.3 Too many", "550 5.1.1 Unknown"])
      : "agree",
  );
}

const RCPT_ACTS: readonly Act[] = ["cut", "silence", "421 4.3.0 Going down", "451 4.3.0 Later", "553 5.1.3 No such"];

const MAIL_ACTS: readonly (readonly [number, Act])[] = [
  [2, "cut"],
  [1, "silence"],
  [2, "421 4.3.0 Going down"],
  [2, "451 4.3.0 Later"],
  [1, "550 5.7.1 Not this sender"],
  [1, "454 4.7.0 Too many login attempts, try again later"],
  [1, "550 5.4.5 Daily user sending limit exceeded"],
];

const DATA_ACTS: readonly (readonly [number, Act])[] = [
  [2, "cut"],
  [1, "silence"],
  [2, "451 4.3.0 Later"],
  [1, "554 5.5.1 Refused"],
];

const DOT_ACTS: readonly (readonly [number, DotAct])[] = [
  [3, "take, then cut"],
  [2, "take, then silence"],
  [2, "take, half a reply"],
  [3, "take late"],
  [2, "cut"],
  [1, "silence"],
  [2, "451 4.3.0 Later"],
  [1, "421 4.3.0 Going down"],
  [1, "554 5.6.0 Content refused"],
];

/** They slow the account down for minutes, which the operator can end sooner for all but the configuration's own. */
const THROTTLING_DOT_ACTS: typeof DOT_ACTS = [
  ...DOT_ACTS,
  [1, "454 Throttling failure: Maximum sending rate exceeded"],
  [1, "432 4.3.2 Concurrent connections limit exceeded"],
];
