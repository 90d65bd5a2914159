import type { Clock } from "@async-mail/runtime/clock";
import type { Loop } from "@async-mail/runtime/loop";

/** Nine tenths of the time are left to others: other tenants' answers, and the processor's other users. */
const RESTS = 9;
/** A report may be a second late; a pause shorter than a timer's own cost is none. */
const LONGEST_MS = 250;
const SHORTEST_MS = 10;

/** A pass that looks at all tenants takes longer the more there are, and any commit of another process brings one. */
export function withRest(pass: Loop["pass"], clock: Pick<Clock, "monotonicMs" | "sleep">): Loop["pass"] {
  return async (signal) => {
    const startedMs = clock.monotonicMs();
    const { waitMs } = await pass(signal);
    const restMs = Math.min((clock.monotonicMs() - startedMs) * RESTS, LONGEST_MS);
    if (restMs < SHORTEST_MS) return { waitMs };
    await clock.sleep(restMs, signal);
    return { waitMs: Math.max(waitMs - restMs, 1) };
  };
}
