import { type FaultRow, held, sent } from "../fault-case.ts";

/** From the name of the host to EHLO: nothing was said about a message yet, so it is the account's fault. */
const MUST_HOLD = "the account is held with back-off; its messages wait, and no attempt of theirs counts";
const QUICK = { timeout: 5 };
const BANNER = "backstage-42";

export const OPENING: FaultRow[] = [
  {
    fault: "nobody listens",
    must: MUST_HOLD,
    cases: [{ name: "connection refused", server: { closedAtFirst: true }, expected: held(/no connection/) }],
  },
  {
    fault: "the host has no address",
    must: MUST_HOLD,
    cases: [
      { name: "DNS", server: {}, account: { host: "mail.fault.invalid" }, expected: held(/no address for this name/) },
    ],
  },
  {
    fault: "no greeting",
    must: MUST_HOLD,
    cases: [
      {
        name: "silence instead of the greeting",
        server: { faults: [{ at: "connect", says: "silence" }] },
        account: QUICK,
        expected: held(/no greeting in time/),
      },
      {
        name: "cut instead of the greeting",
        server: { faults: [{ at: "connect", says: "cut" }] },
        expected: held(/closed before its greeting|broke/),
      },
    ],
  },
  {
    fault: "a greeting other than 220",
    must: `${MUST_HOLD}; none of the peer's words are shown`,
    cases: [
      greeting("421 at the greeting", `421 4.3.2 ${BANNER} is full`),
      greeting("554 at the greeting", `554 ${BANNER} takes no mail`),
      greeting("a greeting that is not SMTP", `HTTP/1.1 400 ${BANNER}`),
      greeting("a greeting of another protocol", `SSH-2.0-${BANNER}`),
    ],
  },
  {
    fault: "EHLO refused, and HELO too",
    must: MUST_HOLD,
    cases: [
      ehlo("450 at EHLO", "450 4.3.0 Not now", /450 4\.3\.0 Not now/),
      ehlo("550 at EHLO", "550 5.7.1 Go away", /550 5\.7\.1 Go away/),
      ehlo("421 at EHLO", "421 4.4.2 Closing", /421 4\.4\.2 Closing/),
    ],
  },
  {
    fault: "EHLO refused, HELO taken",
    must: "it is sent",
    cases: [
      {
        name: "502 at EHLO, as a very old server",
        server: { faults: [{ at: "EHLO", says: "502 5.5.1 What is EHLO?" }] },
        expected: sent(),
      },
    ],
  },
  {
    fault: "EHLO not answered",
    must: MUST_HOLD,
    cases: [
      {
        name: "silence at EHLO",
        server: { faults: [{ at: "EHLO", says: "silence" }] },
        account: QUICK,
        expected: held(/no answer to EHLO in time/),
      },
      {
        name: "cut at EHLO",
        server: { faults: [{ at: "EHLO", says: "cut" }] },
        expected: held(/the connection broke after the greeting/),
      },
    ],
  },
];

function greeting(name: string, says: string) {
  return {
    name,
    server: { faults: [{ at: "connect" as const, says: { text: says, close: true } }] },
    expected: held(/greet/),
    unquoted: [BANNER],
  };
}

function ehlo(name: string, says: string, text: RegExp) {
  const faults = (["EHLO", "HELO"] as const).map((at) => ({ at, says }));
  return { name, server: { faults }, expected: held(text) };
}
