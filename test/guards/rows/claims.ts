import type { Guard } from "../guard.ts";

const CLAIM = "libs/db/src/sqlite/claim.ts";
const SETTLE = "libs/db/src/sqlite/settle.ts";
const PROCESSES = "libs/db/src/sqlite/processes.ts";
const PRESENCE = "libs/runtime/src/presence.ts";
const CLAIM_TEST = "test/libs/db/claim.test.ts";
const PRESENCE_TEST = "test/libs/runtime/presence.test.ts";

/** Whose a message is: claims and the life of processes. */
export const CLAIMS: Guard[] = [
  {
    guard: "claim fence: an outcome is written under its own claim only",
    file: SETTLE,
    code: "key = ? AND claim = ? AND",
    without: "key = ? AND (claim = ? OR 1) AND",
    test: CLAIM_TEST,
    fails: "is fenced by the claim: a lost one writes nothing",
  },
  {
    guard: "claim fence: its number grows with each claim",
    file: CLAIM,
    code: "claim = claim + 1, ",
    without: "",
    test: CLAIM_TEST,
    fails: "is fenced by the claim: a lost one writes nothing",
  },
  {
    guard: "claim fence: an outcome is written once",
    file: SETTLE,
    code: "claim = ? AND state = 'claimed'",
    without: "claim = ?",
    test: "test/guards/claims.test.ts",
    fails: "an outcome is written once",
  },
  {
    guard: "a process that was struck off claims nothing",
    file: CLAIM,
    code: 'if (!stands(tx, request.process)) return { kind: "lost" };',
    without: "",
    test: CLAIM_TEST,
    fails: "is refused to a process that was struck off",
  },
  {
    guard: "beat: whoever has not beaten for half the lease sends nothing more",
    file: PRESENCE,
    code: "clock.monotonicMs() - beatenAtMs < leaseMs / 2",
    without: "beatenAtMs > 0",
    test: PRESENCE_TEST,
    fails: "one that cannot beat no longer stands after half the lease",
  },
  {
    guard: "beat: it counts from before it was written",
    file: PRESENCE,
    code: "beatenAtMs = nowMs;",
    without: "beatenAtMs = clock.monotonicMs();",
    test: "test/guards/beat.test.ts",
    fails: "a beat counts from before it was written",
  },
  {
    guard: "beat: struck off is only whoever stood still for a whole lease",
    file: PRESENCE,
    code: "if (stoodStillMs < leaseMs) continue;",
    without: "if (stoodStillMs < leaseMs / 2) continue;",
    test: PRESENCE_TEST,
    fails: "one whose beat stands still for the lease is struck off, and not before",
  },
  {
    guard: "beat: time in which nobody looked proves nothing",
    file: PRESENCE,
    code: "Math.min(nowMs - lookedAtMs, 2 * beatEveryMs)",
    without: "nowMs - lookedAtMs",
    test: PRESENCE_TEST,
    fails: "time in which one did not look proves nothing against the others",
  },
  {
    guard: "beat: struck off is only the beat that was watched",
    file: PROCESSES,
    code: "if (!statement(tx.db, BEAT_IS).get(process, beat)) return false;",
    without: "",
    test: "test/libs/db/accounts.test.ts",
    fails: "are struck off only with the beat that was watched, and then know it",
  },
  {
    guard: "a copy has the Date of the first attempt: a lost one counts, though no attempt is counted",
    file: SETTLE,
    code: "attempts = 0 AND lost_claims = 0 AND",
    without: "attempts = 0 AND",
    test: "test/guards/claims.test.ts",
    fails: "what is given back after a lost claim keeps the Date of its first attempt",
  },
];
