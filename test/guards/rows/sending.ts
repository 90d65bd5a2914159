import type { Guard } from "../guard.ts";

const SENDING = "apps/dispatcher/src/sending.ts";
const CONNECTION = "apps/dispatcher/src/connection.ts";
const TLS = "apps/dispatcher/src/tls-options.ts";
const OPENING = "apps/dispatcher/src/opening-failure.ts";
const DECIDE = "libs/domain/src/decide.ts";
const RECIPIENT = "libs/domain/src/recipient.ts";
const RELAY_TEST = "test/apps/dispatcher/relay.test.ts";
const SECURITY_TEST = "test/apps/dispatcher/relay-security.test.ts";
const DISPATCH_TEST = "test/apps/dispatcher/dispatch.test.ts";
const DECIDE_TEST = "test/libs/domain/decide.test.ts";

/** What crosses to the mail server, and what its answers mean. */
export const SENDS: Guard[] = [
  {
    guard: "fence of the process: asked before the final dot",
    file: "apps/dispatcher/src/message-body.ts",
    code: "if (this.#left === 0 && !this.#steps.mayEnd()) return;",
    without: "",
    test: RELAY_TEST,
    fails: "cuts before the final dot, and gives the message back",
  },
  {
    guard: "fence of the process: asked before MAIL FROM",
    file: "apps/dispatcher/src/relay.ts",
    code: "if (!stands()) return NOT_STANDING;",
    without: "",
    test: RELAY_TEST,
    fails: "does not even begin when it knows already",
  },
  {
    guard: "fence of the process: under its new number nothing old is sent",
    file: "apps/dispatcher/src/dispatch.ts",
    code: "presence.stands() && presence.process() === number",
    without: "presence.stands()",
    test: DISPATCH_TEST,
    fails: "is not sent to its end under the process's new number",
  },
  {
    guard: "a dispatcher whose outcomes cannot be written claims nothing",
    file: "apps/dispatcher/src/dispatch.ts",
    code: "!presence.stands() || settler.stuck()",
    without: "!presence.stands()",
    test: DISPATCH_TEST,
    fails: "whose outcomes cannot be written keeps trying and claims nothing meanwhile",
  },
  {
    guard: "ambiguous is told apart from broken",
    file: SENDING,
    code: 'if (progress.ended) return { kind: "ambiguous", reason: reasonOf(error) };',
    without: "",
    test: RELAY_TEST,
    fails: "after the final dot may have been sent",
  },
  {
    guard: "broken is told apart from ambiguous",
    file: "apps/dispatcher/src/message-body.ts",
    code: "if (this.#left > 0) return;",
    without: "",
    test: RELAY_TEST,
    fails: "in the middle of the message is surely not sent",
  },
  {
    guard: "the answer to the final dot is waited for much longer",
    file: SENDING,
    code: "step.within(dataReplyMs);",
    without: "step.within(replyMs);",
    test: RELAY_TEST,
    fails: "waits for the answer to the final dot much longer than for the others",
  },
  {
    guard: "on_ambiguous fail: never a second copy",
    file: DECIDE,
    code: 'if (onAmbiguous === "retry") return retry(attempt, failure);',
    without: "return retry(attempt, failure);",
    test: DECIDE_TEST,
    fails: "decide: an ambiguous send goes by on_ambiguous",
  },
  {
    guard: "on_ambiguous: the message's word goes before the account's and the configured",
    file: "apps/dispatcher/src/deliver.ts",
    code: "claim.onAmbiguous ?? claim.account.onAmbiguous ?? configured",
    without: "configured",
    test: DISPATCH_TEST,
    fails: "never, after the final dot: sent again with the same Message-ID, or given up as the message wants",
  },
  {
    guard: "recipients: a retry goes only to those who wait",
    file: "apps/dispatcher/src/deliver.ts",
    code: 'recipients.filter((one) => one.outcome === "waiting").map(',
    without: "recipients.map(",
    test: DISPATCH_TEST,
    fails: "of one recipient is that recipient's: the others are sent, and a retry asks only for those who wait",
  },
  {
    guard: "recipients: an outcome that is final stays",
    file: RECIPIENT,
    code: 'if (known === undefined || known.outcome === "waiting") merged.set',
    without: "merged.set",
    test: DECIDE_TEST,
    fails: "decide: what was accepted or refused before is not changed by a later answer",
  },
  {
    guard: "recipients: accepted at RCPT is not delivered when the message is refused",
    file: DECIDE,
    code: 'one.outcome === "accepted" ? stillWaiting(one) : one',
    without: "one",
    test: DECIDE_TEST,
    fails: "decide: accepted at RCPT is not delivered when the message is refused",
  },
  {
    guard: "recipients: a quota met at one of several forgets nobody who was accepted",
    file: DECIDE,
    code: "{ mailFromSent: true, recipients });\n  return retryWaiting(",
    without: "{ mailFromSent: true, recipients: attempt.facts.recipients });\n  return retryWaiting(",
    test: DECIDE_TEST,
    fails: "decide: a quota met among the recipients holds the account",
  },
  {
    guard: "a break after MAIL FROM is the message's own",
    file: DECIDE,
    code: '    case "unreachable":',
    without: '    case "broken":\n    case "unreachable":',
    test: DECIDE_TEST,
    fails: "decide: a break after MAIL FROM is the message's own",
  },
  {
    guard: "a password crosses no unencrypted connection",
    file: CONNECTION,
    code: "if (inClear && !mayCrossInClear(account.host, address))",
    without: "if (inClear && account.host === address)",
    test: SECURITY_TEST,
    fails: "never crosses in clear to a host that is far",
  },
  {
    guard: "encryption that is required and not offered sends nothing",
    file: TLS,
    code: 'requireTLS: security === "starttls",',
    without: "requireTLS: false,",
    test: SECURITY_TEST,
    fails: "that is required and not offered sends nothing",
  },
  {
    guard: "certificates are verified",
    file: TLS,
    code: 'rejectUnauthorized: security === "tls" || security === "starttls" || hasPassword,',
    without: "rejectUnauthorized: false,",
    test: SECURITY_TEST,
    fails: "verifies the certificate where it is required",
  },
  {
    guard: "a peer that does not greet with 220 is not quoted",
    file: OPENING,
    code: 'return error.code === "EPROTOCOL" ? "does not greet as an SMTP server" :',
    without: 'return error.code === "EPROTOCOL" ? error.message + error.response :',
    test: RELAY_TEST,
    fails: "is not quoted when it does not greet with 220",
  },
  {
    guard: "limit: a MAIL FROM on a connection the server had done with counts",
    file: "apps/dispatcher/src/relay.ts",
    code: 'givenBack("the server had ended the connection", true)',
    without: 'givenBack("the server had ended the connection")',
    test: "test/apps/dispatcher/relay.test.ts",
    fails: "give the message back, for a fresh one",
  },
  {
    guard: "a message on which a server hangs up is not given back again and again",
    file: "apps/dispatcher/src/relay.ts",
    code: "if (reused && unlucky.has(hop.messageKey)) {",
    without: "if (reused && hop.messageKey === -1) {",
    test: "test/apps/dispatcher/relay.test.ts",
    fails: "are not used for a message that was given back so: a server that cuts it again is cutting it",
  },
  {
    guard: "connections: a login to be verified reserves its own",
    file: "libs/db/src/sqlite/turn.ts",
    code: "return mine > 0 || others < connectionsOf(queue, maxConnectionsPerAccount, steadyMs);",
    without: "return true;",
    test: "test/libs/db/accounts.test.ts",
    fails: "reserves the connection that it opens, and is left to whom has one when all are reserved",
  },
];
