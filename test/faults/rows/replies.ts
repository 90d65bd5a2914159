import { type FaultCase, type FaultRow, held, refused, retried, type Step, sent } from "../fault-case.ts";

/** Replies that are right in a form that few servers give them. */
const MEGABYTE = 1_000_000;
const LINE = 500;
/** What is shown of a reply, with room for our own words. */
const SHORT = /^.{0,600}$/s;

export const REPLIES: FaultRow[] = [
  {
    fault: "every reply in ten small pieces",
    must: "it is sent",
    cases: [{ name: "ten pieces", server: { pieces: 10 }, expected: sent() }],
  },
  {
    fault: "every reply on five lines",
    must: "it is sent; a refusal is read from all its lines",
    cases: [
      { name: "five lines", server: { lines: 5 }, expected: sent() },
      {
        name: "five lines in ten pieces, pipelined",
        server: { lines: 5, pieces: 10, offers: ["PIPELINING"] },
        expected: sent(),
      },
      {
        name: "a refusal on three lines",
        server: { faults: [{ at: ".", says: "550-5.7.1 We think\r\n550-5.7.1 that this\r\n550 5.7.1 is spam" }] },
        expected: refused(/^550[- ]5\.7\.1 We think.*that this.*is spam/, { taken: 1 }),
      },
    ],
  },
  {
    fault: "a reply of 1 MB",
    must: "read as any other; records and reports show the beginning",
    cases: [
      large("1 MB on one line at the greeting", "connect", oneLine("220"), sent()),
      large("1 MB of lines at EHLO", "EHLO", manyLines("250"), sent()),
      large("1 MB on one line at RCPT TO", "RCPT", oneLine("250"), sent()),
      large("1 MB of lines at the final dot", ".", manyLines("250"), sent()),
      large("1 MB of lines, refusing", ".", manyLines("550"), refused(SHORT, { taken: 1 })),
    ],
  },
  {
    fault: "a reply of 2 MB",
    must: "not read to its end: as if it had not come",
    cases: [
      large("2 MB at EHLO", "EHLO", oneLine("250", 2), held(SHORT)),
      large("2 MB at RCPT TO", "RCPT", oneLine("250", 2), retried(SHORT)),
    ],
  },
];

function large(name: string, at: Step, says: string, expected: FaultCase["expected"]): FaultCase {
  return { name, server: { faults: [{ at, says }] }, expected };
}

function oneLine(code: string, megabytes = 1): string {
  return `${code} ${"x".repeat(megabytes * MEGABYTE)}`;
}

function manyLines(code: string): string {
  const lines = Array.from({ length: MEGABYTE / LINE }, () => `${code}-${"y".repeat(LINE - 6)}`);
  return [...lines, `${code} end`].join("\r\n");
}
