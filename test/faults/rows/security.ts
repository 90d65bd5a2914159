import { TEST_CA } from "../../support/smtp-server.ts";
import { type Answer, type FaultCase, type FaultRow, held, type ServerScript, type Step, sent } from "../fault-case.ts";

/** STARTTLS, certificates and log-in: still the account's fault, and nothing crosses that must be encrypted. */
const MUST_HOLD = "the account is held; neither password nor mail crosses";
const MUST_WAIT = "the account is held, its messages wait; the password is shown nowhere";
const IN_CLEAR = /^(AUTH|MAIL)/;
export const PASSWORD = "pass-5ecret-word";

export const SECURITY: FaultRow[] = [
  {
    fault: "no STARTTLS where it is required",
    must: MUST_HOLD,
    cases: [
      starttls("STARTTLS not offered", {}, /STARTTLS/i),
      starttls("454 at STARTTLS", refusing("STARTTLS", "454 4.7.0 TLS not available"), /454 4\.7\.0 TLS not available/),
      starttls("554 at STARTTLS", refusing("STARTTLS", "554 5.7.3 No TLS for you"), /554 5\.7\.3 No TLS for you/),
      starttls("cut at STARTTLS", refusing("STARTTLS", "cut"), /TLS|broke/),
      starttls("silence at STARTTLS", refusing("STARTTLS", "silence"), /STARTTLS.* in time/),
      starttls("cut in the handshake", refusing("handshake", "cut"), /TLS/),
      starttls("silence in the handshake", refusing("handshake", "silence"), /TLS was not established in time/),
    ],
  },
  {
    fault: "a certificate that proves nothing",
    must: MUST_HOLD,
    cases: [
      certificate("expired", "expired", TEST_CA, /has expired/),
      certificate("self-signed", "self-signed", TEST_CA, /not trusted/),
      certificate("signed by an unknown CA", "localhost", null, /not trusted/),
      certificate("for another name", "elsewhere", TEST_CA, /for another name/),
    ],
  },
  {
    fault: "no TLS on a port where it begins at once",
    must: MUST_HOLD,
    cases: [
      {
        name: "a server in clear where TLS is expected",
        server: {},
        account: { security: "tls", tls_ca: TEST_CA, ...login() },
        expected: { ...held(/does not speak TLS/), neverSaid: IN_CLEAR },
      },
      {
        name: "silence where TLS is expected",
        server: { faults: [{ at: "connect", says: "silence" }] },
        account: { security: "tls", tls_ca: TEST_CA, timeout: 5, ...login() },
        expected: { ...held(/TLS was not established in time/), neverSaid: IN_CLEAR },
      },
    ],
  },
  {
    fault: "the same where encryption is only a bonus (`opportunistic`, no password)",
    must: "it is sent",
    cases: [
      opportunistic("454 at STARTTLS, opportunistic", refusing("STARTTLS", "454 4.7.0 TLS not available")),
      opportunistic("cut in the handshake, opportunistic", refusing("handshake", "cut")),
      opportunistic("an expired certificate, opportunistic", { offers: ["STARTTLS"], certificate: "expired" }),
    ],
  },
  {
    fault: "the log-in refused",
    must: MUST_WAIT,
    cases: [
      auth("535 at AUTH: a wrong password", "535 5.7.8 Wrong password", /535 5\.7\.8 Wrong password/),
      auth("454 at AUTH, as Gmail", "454 4.7.0 Too many login attempts", /454 4\.7\.0 Too many login attempts/),
      auth("421 at AUTH", "421 4.4.2 Closing", /421 4\.4\.2 Closing/),
      auth("550 at AUTH, as Microsoft 365", "550 5.7.30 Basic authentication is not supported", /550 5\.7\.30/),
      auth("432 at AUTH, as Microsoft 365", "432 4.3.2 Concurrent connections limit exceeded", /432 4\.3\.2/),
    ],
  },
  {
    fault: "the log-in not answered, or not offered",
    must: MUST_WAIT,
    cases: [
      auth("cut at AUTH", "cut", /the login failed/),
      auth("silence at AUTH", "silence", /no answer to the login in time/),
      { name: "AUTH not offered", server: {}, account: login(), expected: held(/offers no AUTH/) },
    ],
  },
];

function login() {
  return { user: "shop@example.com", password: PASSWORD };
}

function refusing(at: Step, says: Answer): ServerScript {
  return { offers: ["STARTTLS", "AUTH PLAIN"], faults: [{ at, says }] };
}

function starttls(name: string, server: ServerScript, text: RegExp): FaultCase {
  const account = { security: "starttls", tls_ca: TEST_CA, timeout: 5, ...login() };
  return { name, server, account, expected: { ...held(text), neverSaid: IN_CLEAR } };
}

function certificate(name: string, shown: ServerScript["certificate"], tls_ca: string | null, text: RegExp): FaultCase {
  const server: ServerScript = { offers: ["STARTTLS", "AUTH PLAIN"], certificate: shown };
  const account = { security: "starttls", tls_ca, ...login() };
  return { name: `a certificate ${name}`, server, account, expected: { ...held(text), neverSaid: IN_CLEAR } };
}

function opportunistic(name: string, server: ServerScript): FaultCase {
  return { name, server, account: { security: "opportunistic" }, expected: sent() };
}

function auth(name: string, says: Answer, text: RegExp): FaultCase {
  const account = says === "silence" ? { ...login(), timeout: 5 } : login();
  return { name, server: { offers: ["AUTH PLAIN"], faults: [{ at: "AUTH", says }] }, account, expected: held(text) };
}
