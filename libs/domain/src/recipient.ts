import type { MeaningOf } from "./reply-meaning.ts";

/** waiting: not yet accepted, and not refused for good. */
export type Recipient = {
  address: string;
  outcome: "accepted" | "refused" | "waiting";
  code?: number;
  response?: string;
};

/** What the server said last, where it said anything. */
export type Answered = { code?: number; response?: string };

export function answeredOf({ code, response }: Answered): Answered {
  return { ...(code === undefined ? {} : { code }), ...(response === undefined ? {} : { response }) };
}

/** No try will follow. What the server said stays; without that, the error tells. */
export function givenUp({ address }: Recipient, error: string, answered: Answered): Recipient {
  const said = answered.code === undefined ? { response: error } : answeredOf(answered);
  return { address, outcome: "refused", ...said };
}

export function stillWaiting({ address }: Recipient): Recipient {
  return { address, outcome: "waiting" };
}

/** One recipient by what the server said of it, or else by its `final` answer: what may pass is waited for. */
export function judged(recipient: Recipient, meaningOf: MeaningOf, final: Answered = {}): Recipient {
  const { address, outcome, code, response } = recipient;
  const said = answeredOf({ code: code ?? final.code, response: response ?? final.response });
  if (outcome === "accepted" || code === undefined) return { address, outcome, ...said };
  const meaning = meaningOf("rcpt", code, response ?? "");
  const isFinal = meaning === "recipient" || meaning === "message";
  return { address, outcome: isFinal ? "refused" : "waiting", ...said };
}

/** What was accepted or refused for good before stays so. */
export function mergeRecipients(before: Recipient[], ofAttempt: Recipient[]): Recipient[] {
  const merged = new Map(before.map((one) => [one.address, one]));
  for (const recipient of ofAttempt) {
    const known = merged.get(recipient.address);
    if (known === undefined || known.outcome === "waiting") merged.set(recipient.address, recipient);
  }
  return [...merged.values()];
}
