import { type Answer, type Expected, type FaultCase, type FaultRow, refused, retried, sent } from "../fault-case.ts";

/** DATA, the message itself, and the answer to its final dot. */
const MUST_RETRY = "tried again later; the account's other mail goes on";
/** More than what lies between two processes in buffers, so that it is the middle when the server sees the first of it. */
const LARGE = { attachments: [{ filename: "large.bin", content: Buffer.alloc(16_000_000, 7).toString("base64") }] };

const AMBIGUOUS = /no reply after DATA, it may have been delivered/;
/** Sent, perhaps, and sent again. */
const TWICE: Partial<Expected> = { history: ["ambiguous", "ambiguous"], taken: 2 };

export const DATA: FaultRow[] = [
  {
    fault: "4yz at DATA, cut, silence",
    must: MUST_RETRY,
    cases: [
      at("DATA", "451 at DATA", "451 4.3.0 Not now", retried(/^retry: 451 4\.3\.0 Not now/)),
      at("DATA", "421 at DATA", "421 4.4.2 Closing", retried(/^retry: 421 4\.4\.2 Closing/)),
      at("DATA", "cut at DATA", "cut", retried(/^retry: /)),
      at("DATA", "silence at DATA", "silence", retried(/^retry: no answer in time/)),
    ],
  },
  {
    fault: "5yz at DATA",
    must: "an error at once, with the server's words",
    cases: [at("DATA", "554 at DATA", "554 5.6.0 No", refused(/^554 5\.6\.0 No/))],
  },
  {
    fault: "cut or silence in the middle of the message",
    must: "surely not sent, so not ambiguous: tried again later",
    cases: [
      { ...at("body", "cut in the middle", "cut", retried(/^retry: /)), message: LARGE },
      { ...at("body", "silence in the middle", "silence", retried(/^retry: /)), message: LARGE },
    ],
  },
  {
    fault: "4yz at the end of DATA",
    must: MUST_RETRY,
    cases: [
      at(".", "451 at the final dot", "451 4.3.0 Not now", retried(/^retry: 451 4\.3\.0 Not now/, { taken: 2 })),
      at(".", "421 at the final dot", "421 4.4.2 Closing", retried(/^retry: 421 4\.4\.2 Closing/, { taken: 2 })),
    ],
  },
  {
    fault: "5yz at the end of DATA",
    must: "an error at once, with the server's words",
    cases: [at(".", "554 at the final dot", "554 5.7.1 Spam", refused(/^554 5\.7\.1 Spam/, { taken: 1 }))],
  },
  {
    fault: "cut after the end of DATA was answered",
    must: "it is sent, once",
    cases: [at(".", "250 and the end of the connection", { text: "250 2.0.0 Taken", close: true }, sent())],
  },
  {
    fault: "cut or silence at the end of DATA, `on_ambiguous` `retry`",
    must: "told apart as ambiguous, and sent again later with the same Message-ID and Date",
    cases: [
      at(".", "cut at the final dot", "cut", retried(AMBIGUOUS, TWICE)),
      at(".", "silence at the final dot", "silence", retried(AMBIGUOUS, TWICE)),
    ],
  },
  {
    fault: "cut or silence at the end of DATA, `on_ambiguous` `fail`",
    must: "an error that says that it may have been delivered; never a second copy",
    cases: [
      failing("cut at the final dot, the account says fail", "cut", { account: { on_ambiguous: "fail" } }),
      failing("cut at the final dot, the message says fail", "cut", { message: { on_ambiguous: "fail" } }),
      failing("silence at the final dot, the account says fail", "silence", { account: { on_ambiguous: "fail" } }),
    ],
  },
];

function at(step: "DATA" | "body" | ".", name: string, says: Answer, expected: Expected): FaultCase {
  const quick = says === "silence" ? { account: { timeout: 5 } } : {};
  return { name, server: { faults: [{ at: step, says }] }, ...quick, expected };
}

function failing(name: string, says: Answer, given: Pick<FaultCase, "account" | "message">): FaultCase {
  const expected = refused(AMBIGUOUS, { history: ["ambiguous"], taken: 1 });
  return { name, server: { faults: [{ at: ".", says }] }, ...given, expected };
}
