import type { Guard } from "../guard.ts";

const SETTLE = "libs/db/src/sqlite/settle.ts";
const LIMITS = "libs/db/src/sqlite/limits.ts";
const TURN = "libs/db/src/sqlite/turn.ts";
const CLAIM_TEST = "test/libs/db/claim.test.ts";

/** What an account may send now, and which of its messages. */
export const ALLOWANCES: Guard[] = [
  {
    guard: "limit: counted in the transaction that claims",
    file: TURN,
    code: "    limits.messages,\n    placesLeft",
    without: "    placesLeft",
    test: CLAIM_TEST,
    fails: "count what is in flight and what ended within the window",
  },
  {
    guard: "limit: what is in flight counts",
    file: LIMITS,
    code: "return inFlight + totalNow(counted, window)",
    without: "return totalNow(counted, window)",
    test: CLAIM_TEST,
    fails: "count what is in flight and what ended within the window",
  },
  {
    guard: "limit: a window counts from the end of an attempt",
    file: LIMITS,
    code: "Math.max(counted.lastEndedMs, steadyMs)",
    without: "Math.max(queue.lastEndedMs, tx.now.steadyMs - 10_000)",
    test: CLAIM_TEST,
    fails: "count what is in flight and what ended within the window",
  },
  {
    guard: "limit: a lost claim counts",
    file: SETTLE,
    code: 'if (how === "lost") countAttempt(tx, queue, row);',
    without: "",
    test: CLAIM_TEST,
    fails: "and count a lost claim from when it was taken back",
  },
  {
    guard: "limit: what was given back before MAIL FROM does not count",
    file: SETTLE,
    code: "if (sawServer(outcome)) countAttempt(",
    without: "countSend(",
    test: CLAIM_TEST,
    fails: "do not count what was given back before MAIL FROM",
  },
  {
    guard: "connections: counted over all dispatchers",
    file: TURN,
    code: "dispatchers)), most - others));",
    without: "dispatchers)), most));",
    test: CLAIM_TEST,
    fails: "are shared evenly between dispatchers and never more than allowed",
  },
  {
    guard: "hold: nothing is claimed while it lasts",
    file: TURN,
    code: "if (!account || isHeld(queue, tx.now.steadyMs)) return turn;",
    without: "if (!account) return turn;",
    test: CLAIM_TEST,
    fails: "whose account is held stands in nobody's way, another such one's neither",
  },
  {
    guard: "hold: one probe at a time",
    file: TURN,
    code: "queue.holdFailures > 0 ? Number(queue.probe === null) : Number.POSITIVE_INFINITY",
    without: "Number.POSITIVE_INFINITY",
    test: CLAIM_TEST,
    fails: "gives nothing until its time, then one probe, each a different message",
  },
  {
    guard: "hold: each probe is a different message",
    file: SETTLE,
    code: "const dueMs = Math.max(holdUntilMs + 1, tx.now.steadyMs + holdDelayMs(heldBefore + 1));",
    without: "const dueMs = heldBefore;",
    test: CLAIM_TEST,
    fails: "gives nothing until its time, then one probe, each a different message",
  },
  {
    guard: "killers: sent alone after three lost claims",
    file: SETTLE,
    code: "const SOLO_AFTER = 3;",
    without: "const SOLO_AFTER = 4;",
    test: CLAIM_TEST,
    fails: "is sent alone after three times, and is an error after five",
  },
  {
    guard: "killers: an error after five",
    file: SETTLE,
    code: "const DIED_AFTER = 5;",
    without: "const DIED_AFTER = 6;",
    test: CLAIM_TEST,
    fails: "is sent alone after three times, and is an error after five",
  },
  {
    guard: "throttle: one message at a time, however many are due",
    file: TURN,
    code: "gapOf(queue, tx.now.steadyMs) > 0 ? 1 : Number.POSITIVE_INFINITY,",
    without: "Number.POSITIVE_INFINITY,",
    test: "test/libs/db/slowing.test.ts",
    fails: "a throttled account goes on one message at a time, a gap apart, over half the connections",
  },
];
