import { type Answer, type Expected, type FaultCase, type FaultRow, refused, retried, sent } from "../fault-case.ts";

/** MAIL FROM and RCPT TO: from here on a fault is the message's, or a recipient's. */
const MUST_RETRY = "tried again later; the account's other mail goes on";
const THREE = { to: ["a@example.org", "b@example.org", "c@example.org"] };

export const ENVELOPE: FaultRow[] = [
  {
    fault: "4yz at MAIL FROM, cut, silence",
    must: MUST_RETRY,
    cases: [
      mail("451 at MAIL FROM", "451 4.3.0 Not now", retried(/^retry: 451 4\.3\.0 Not now/)),
      mail("421 at MAIL FROM", "421 4.4.2 Closing", retried(/^retry: 421 4\.4\.2 Closing/)),
      mail("cut at MAIL FROM", "cut", retried(/^retry: /)),
      mail("silence at MAIL FROM", "silence", retried(/^retry: no answer in time/)),
    ],
  },
  {
    fault: "5yz at MAIL FROM",
    must: "an error at once, with the server's words",
    cases: [
      { ...mail("550 at MAIL FROM", "550 5.7.1 No such sender", noSuchSender()), message: THREE },
      {
        ...pipelined(mail("550 at MAIL FROM, pipelined", "550 5.7.1 No such sender", noSuchSender())),
        message: THREE,
      },
    ],
  },
  {
    fault: "4yz at RCPT TO, one of three",
    must: "sent to the two at once; later only the third is asked for again",
    cases: [
      rcpt("450 at one of three", ["b"], "450 4.2.1 Busy", someLater()),
      pipelined(rcpt("450 at one of three, pipelined", ["b"], "450 4.2.1 Busy", someLater())),
    ],
  },
  {
    fault: "4yz at RCPT TO, all three",
    must: MUST_RETRY,
    cases: [
      rcpt(
        "450 at all three",
        undefined,
        "450 4.2.1 Busy",
        retried(/450 4\.2\.1 Busy/, { recipients: { waiting: 3 } }),
      ),
    ],
  },
  {
    fault: "5yz at RCPT TO, one of three",
    must: "sent; the record and the report say who was refused, and why",
    cases: [
      rcpt("550 at one of three", ["b"], "550 5.1.1 No such user", sent({ recipients: { accepted: 2, refused: 1 } })),
    ],
  },
  {
    fault: "5yz at RCPT TO, all three",
    must: "an error at once, with each recipient's answer",
    cases: [
      rcpt("550 at all three", undefined, "550 5.1.1 No such user", nobody()),
      pipelined(rcpt("550 at all three, pipelined", undefined, "550 5.1.1 No such user", nobody())),
      {
        name: "550 at all three, and 354 to DATA all the same, pipelined",
        server: {
          offers: ["PIPELINING"],
          faults: [
            { at: "RCPT", says: "550 5.1.1 No such user" },
            { at: "DATA", says: "354 Go on" },
          ],
        },
        message: THREE,
        expected: { ...nobody(), taken: 1 },
      },
    ],
  },
  {
    fault: "one refused for good, one for now, one accepted",
    must: "sent to the one; later only the second is asked for again",
    cases: [
      {
        name: "550, 450 and 250 at RCPT TO",
        server: {
          faults: [
            { at: "RCPT", to: ["a"], says: "550 5.1.1 No such user" },
            { at: "RCPT", to: ["b"], says: "450 4.2.1 Busy" },
          ],
        },
        message: THREE,
        expected: retried(/^retry: 1 of 3 recipients: 450/, {
          recipients: { accepted: 1, refused: 1, waiting: 1 },
          taken: 1,
          envelopes: [["c"], []],
        }),
      },
    ],
  },
  {
    fault: "421, cut or silence at the second of three RCPT TO",
    must: "nobody counts as accepted; tried again later for all",
    cases: [
      rcpt("421 at one of three", ["b"], "421 4.4.2 Closing", allLater()),
      rcpt("cut at one of three", ["b"], "cut", allLater()),
      rcpt("silence at one of three", ["b"], "silence", retried(/no answer in time/, { recipients: { waiting: 3 } })),
      rcpt("cut at the first of three", undefined, "cut", allLater()),
      rcpt("silence at the first of three", undefined, "silence", retried(/in time/, { recipients: { waiting: 3 } })),
      pipelined(rcpt("421 at one of three, pipelined", ["b"], "421 4.4.2 Closing", allLater())),
      pipelined(rcpt("cut at one of three, pipelined", ["b"], "cut", allLater())),
      pipelined(rcpt("silence at one of three, pipelined", ["b"], "silence", allLater())),
    ],
  },
];

function someLater(): Expected {
  return retried(/^retry: 1 of 3 recipients: 450 4\.2\.1 Busy/, {
    recipients: { accepted: 2, waiting: 1 },
    taken: 1,
    envelopes: [["a", "c"], []],
  });
}

function noSuchSender(): Expected {
  return refused(/^550 5\.7\.1 No such sender/, { recipients: { refused: 3 } });
}

function nobody(): Expected {
  return refused(/^all 3 recipients refused: 550 5\.1\.1 No such user/, { recipients: { refused: 3 } });
}

function allLater(): Expected {
  return retried(/^retry: /, { recipients: { waiting: 3 } });
}

function pipelined(one: FaultCase): FaultCase {
  return { ...one, server: { ...one.server, offers: ["PIPELINING"] } };
}

function mail(name: string, says: Answer, expected: Expected): FaultCase {
  return { name, server: { faults: [{ at: "MAIL", says }] }, ...quickWhenSilent(says), expected };
}

function rcpt(name: string, to: string[] | undefined, says: Answer, expected: Expected): FaultCase {
  const fault = { at: "RCPT" as const, says, ...(to ? { to } : {}) };
  return { name, server: { faults: [fault] }, message: THREE, ...quickWhenSilent(says), expected };
}

function quickWhenSilent(says: Answer) {
  return says === "silence" ? { account: { timeout: 5 } } : {};
}
