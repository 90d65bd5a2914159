import {
  type Answer,
  type Expected,
  type FaultCase,
  type FaultRow,
  held,
  refused,
  retried,
  type Step,
} from "../fault-case.ts";

/** What providers say of quotas after MAIL FROM, and of messages and recipients. */
export const PROVIDERS: FaultRow[] = [
  {
    fault: "a provider's quota is used up",
    must: "the account is held, its messages wait, and no attempt of theirs counts; whoever was accepted stays so",
    cases: [
      says("Gmail: too many log-ins", "MAIL", "454 4.7.0 Too many login attempts", held(/454 4\.7\.0/)),
      says("Gmail: daily limit at MAIL FROM", "MAIL", "550 5.4.5 Daily sending quota exceeded", held(/550 5\.4\.5/)),
      says("Gmail: daily limit at DATA", "DATA", "550 5.4.5 Daily sending quota exceeded", held(/550 5\.4\.5/)),
      {
        name: "Gmail: daily limit at the third of three",
        server: {
          faults: [{ at: "RCPT", of: "anyone", to: ["c", "someone"], says: "550 5.4.5 Daily sending quota exceeded" }],
        },
        message: { to: ["a@example.org", "b@example.org", "c@example.org"] },
        expected: held(/550 5\.4\.5/, { recipients: { accepted: 2, waiting: 1 }, taken: 1 }),
      },
      says("Gmail: daily limit at RCPT TO", "RCPT", "550 5.4.5 Daily sending quota exceeded", held(/550 5\.4\.5/)),
      says(
        "Microsoft 365: submission quota",
        ".",
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
        held(/554 5\.2\.0/, { taken: 1 }),
      ),
      says(
        "Microsoft 365: basic authentication",
        "MAIL",
        "550 5.7.30 Basic authentication is not supported",
        held(/5\.7\.30/),
      ),
      says("log-in wanted at MAIL FROM", "MAIL", "530 5.7.0 Authentication required", held(/530 5\.7\.0/)),
    ],
  },
  {
    fault: "the account is too fast",
    must: "the account is held for a moment and goes more slowly then; its messages wait",
    cases: [
      says(
        "Microsoft 365: connections",
        "MAIL",
        "432 4.3.2 Concurrent connections limit exceeded",
        held(/432 4\.3\.2/),
      ),
      says(
        "Amazon SES: rate",
        ".",
        "454 Throttling failure: Maximum sending rate exceeded.",
        held(/454 Throttling/, { taken: 1 }),
      ),
    ],
  },
  {
    fault: "the message is too large",
    must: "an error at once that says so",
    cases: [
      says("552 at MAIL FROM", "MAIL", "552 5.3.4 Message too big", refused(/^552 5\.3\.4/)),
      says("552 at the final dot", ".", "552 5.3.4 Message too big", refused(/^552 5\.3\.4/, { taken: 1 })),
      says("552 without more at the final dot", ".", "552 Too big", refused(/^552 Too big/, { taken: 1 })),
      {
        name: "larger than the SIZE of EHLO",
        server: { offers: ["SIZE 3000"] },
        message: { body: "more than that. ".repeat(300) },
        expected: { ...refused(/^552 5\.3\.4 /), neverSaid: /^MAIL FROM:<faulty/ },
      },
    ],
  },
  {
    fault: "the recipient does not exist, or its mailbox is full",
    must: "an error at once for the first, tried again for the second",
    cases: [
      says("550 5.1.1 at RCPT TO", "RCPT", "550 5.1.1 No such user", refused(/^550 5\.1\.1 No such user/)),
      says("452 4.2.2 at RCPT TO", "RCPT", "452 4.2.2 Mailbox full", retried(/452 4\.2\.2 Mailbox full/)),
    ],
  },
];

function says(name: string, at: Step, answer: Answer, expected: Expected): FaultCase {
  const isAccount = expected.account === "held";
  return { name, server: { faults: [{ at, says: answer, ...(isAccount ? { of: "anyone" } : {}) }] }, expected };
}
