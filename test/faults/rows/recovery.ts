import { type FaultRow, sent } from "../fault-case.ts";

/** Faults that end, and what follows by itself. */
const LOGIN = { user: "shop@example.com", password: "pass-5ecret-word" };
const AFTER_HOLD = sent({ history: ["held", "sent"] });

export const RECOVERY: FaultRow[] = [
  {
    fault: "a fault of the account ends",
    must: "the hold ends by itself, by a new password or by verify; another message than the last tries first; all is sent",
    cases: [
      {
        name: "nobody listened, then somebody does",
        server: { closedAtFirst: true },
        mended: "listens",
        expected: { ...AFTER_HOLD, firstSenders: ["other", "faulty"] },
      },
      {
        name: "a wrong password, then the right one",
        server: { offers: ["AUTH PLAIN"], faults: [{ at: "AUTH", says: "535 5.7.8 Wrong password", times: 1 }] },
        account: LOGIN,
        mended: "new password",
        expected: AFTER_HOLD,
      },
      {
        name: "a server that was down, then verify",
        server: { faults: [{ at: "connect", says: "cut", times: 1 }] },
        mended: "verified",
        expected: AFTER_HOLD,
      },
      {
        name: "a quota that lasts two tries",
        server: { faults: [{ at: ".", of: "anyone", says: "550 5.4.5 Daily sending quota exceeded", times: 2 }] },
        expected: { ...sent({ history: ["held", "sent"], taken: 2 }), firstSenders: ["faulty", "other"] },
      },
    ],
  },
  {
    fault: "4yz once",
    must: "sent at the second attempt",
    cases: [
      {
        name: "451 at MAIL FROM, once",
        server: { faults: [{ at: "MAIL", says: "451 4.3.0 Not now", times: 1 }] },
        expected: sent({ attempts: 2, history: ["deferred: retry", "sent"] }),
      },
      {
        name: "450 at one of three, once",
        server: { faults: [{ at: "RCPT", to: ["b"], says: "450 4.2.1 Busy", times: 1 }] },
        message: { to: ["a@example.org", "b@example.org", "c@example.org"] },
        expected: sent({
          attempts: 2,
          history: ["deferred: retry", "sent"],
          recipients: { accepted: 3 },
          taken: 2,
          envelopes: [["a", "c"], ["b"]],
        }),
      },
    ],
  },
  {
    fault: "cut at the end of DATA once",
    must: "sent again, with the same Message-ID and Date",
    cases: [
      {
        name: "cut at the final dot, once",
        server: { faults: [{ at: ".", says: "cut", times: 1 }] },
        expected: sent({ attempts: 2, history: ["ambiguous", "sent"], taken: 2 }),
      },
    ],
  },
];
