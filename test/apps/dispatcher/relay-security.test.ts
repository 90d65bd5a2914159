import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { passwordsInClear } from "@async-mail/dispatcher/clear-passwords";
import type { Account, Security } from "@async-mail/domain/account";
import type { Reply } from "@async-mail/domain/outcome";
import { type SmtpServer, type SmtpServerOptions, startSmtpServer, TEST_CA } from "../../support/smtp-server.ts";
import { accountAt, testRelay } from "./relay-bench.ts";
import { agreeing, startScriptedServer } from "./scripted-server.ts";

const closing: (() => Promise<void>)[] = [];
after(async () => {
  await Promise.all(closing.map((close) => close()));
});

async function server(options: SmtpServerOptions): Promise<SmtpServer> {
  const started = await startSmtpServer(options);
  closing.push(started.close);
  return started;
}

/** One message to the server; nothing may cross in clear, as if it were far away. */
async function deliver(smtp: { port: number }, account: Partial<Account>, far = true): Promise<Reply> {
  const relay = testRelay(far ? { mayCrossInClear: () => false } : {});
  closing.push(relay.close);
  return relay.deliver(accountAt(smtp.port, { host: "localhost", ...account }));
}

const LOGIN = { user: "me", password: "secret" };

describe("encryption", () => {
  it("is used as the account wants it", async () => {
    const cases: [Security, SmtpServerOptions["tls"], boolean][] = [
      ["tls", "implicit", true],
      ["starttls", "starttls", true],
      ["opportunistic", "starttls", true],
      ["opportunistic", "none", false],
      ["none", "starttls", false],
      ["none", "none", false],
    ];
    for (const [security, tls, secure] of cases) {
      const smtp = await server({ tls });
      const reply = await deliver(smtp, { security, tlsCa: TEST_CA });
      assert.equal(reply.kind, "accepted", `${security} over ${tls}: ${JSON.stringify(reply)}`);
      assert.equal(smtp.messages[0]?.session.secure, secure, `${security} over ${tls}`);
    }
  });

  it("that is required and not offered sends nothing", async () => {
    const smtp = await server({ tls: "none" });
    const reply = await deliver(smtp, { security: "starttls", tlsCa: TEST_CA });
    assert.equal("stage" in reply && reply.stage, "starttls");
    const implicit = await deliver(smtp, { security: "tls", tlsCa: TEST_CA });
    assert.equal(implicit.kind === "unreachable" && implicit.stage, "tls");
    assert.equal(smtp.messages.length, 0);
  });

  it("verifies the certificate where it is required", async () => {
    for (const [security, tls] of [
      ["tls", "implicit"],
      ["starttls", "starttls"],
    ] as const) {
      for (const [certificate, account, fault] of [
        ["localhost", {}, /not trusted/],
        ["elsewhere", { tlsCa: TEST_CA }, /another name/],
        ["expired", { tlsCa: TEST_CA }, /expired/],
      ] as const) {
        const smtp = await server({ tls, certificate });
        const reply = await deliver(smtp, { security, ...account });
        assert.equal(reply.kind === "unreachable" && reply.stage, "tls", `${security} ${certificate}`);
        assert.match(reply.kind === "unreachable" ? reply.reason : "", fault);
        assert.equal(smtp.messages.length, 0);
      }
    }
  });

  it("trusts the configuration's private CA, and another name where the account says so", async () => {
    const smtp = await server({ tls: "implicit", certificate: "localhost" });
    const relay = testRelay({ tlsCa: TEST_CA });
    closing.push(relay.close);
    const account = accountAt(smtp.port, { host: "127.0.0.1", security: "tls", tlsServername: "localhost" });
    assert.equal((await relay.deliver(account)).kind, "accepted");
  });

  it("that is only a bonus is taken unverified, and done without when it fails", async () => {
    const expired = await server({ tls: "starttls", certificate: "expired" });
    assert.equal((await deliver(expired, { security: "opportunistic" })).kind, "accepted");
    assert.equal(expired.messages[0]?.session.secure, true);

    const broken = await startScriptedServer(
      agreeing({ EHLO: "250-test\r\n250 STARTTLS", STARTTLS: "220 Go\r\nnonsense" }),
    );
    closing.push(broken.close);
    assert.equal((await deliver(broken, { security: "opportunistic" })).kind, "accepted");
  });
});

describe("a password", () => {
  it("logs in where the connection is encrypted and verified", async () => {
    const smtp = await server({ tls: "starttls", auth: "required" });
    const reply = await deliver(smtp, { security: "opportunistic", ...LOGIN, tlsCa: TEST_CA });
    assert.equal(reply.kind, "accepted");
    assert.deepEqual(smtp.logins, [{ method: "PLAIN", ...LOGIN }]);
  });

  it("never crosses in clear to a host that is far", async () => {
    const smtp = await server({ tls: "none" });
    const reply = await deliver(smtp, { security: "opportunistic", ...LOGIN });
    assert.equal(reply.kind === "unreachable" && reply.stage, "auth");
    assert.match(reply.kind === "unreachable" ? reply.reason : "", /not encrypted/);
    assert.deepEqual(smtp.logins, []);
  });

  it("is not sent to a certificate that is not trusted, nor after a refused STARTTLS", async () => {
    const smtp = await server({ tls: "starttls", certificate: "localhost" });
    for (const far of [true, false])
      assert.equal((await deliver(smtp, { security: "opportunistic", ...LOGIN }, far)).kind, "unreachable");
    assert.deepEqual(smtp.logins, []);

    const refusing = await startScriptedServer(
      agreeing({ EHLO: "250-test\r\n250-AUTH PLAIN\r\n250 STARTTLS", STARTTLS: "454 Not now" }),
    );
    closing.push(refusing.close);
    const reply = await deliver(refusing, { security: "opportunistic", ...LOGIN });
    assert.deepEqual(reply.kind === "refused" && [reply.stage, reply.code], ["starttls", 454]);
    assert.ok(!refusing.lines.some((line) => line.startsWith("AUTH")));
  });

  it("crosses in clear to loopback, and where security is none", async () => {
    const smtp = await server({ tls: "none", auth: "required" });
    assert.equal((await deliver(smtp, { security: "opportunistic", ...LOGIN }, false)).kind, "accepted");
    assert.equal((await deliver(smtp, { security: "none", ...LOGIN })).kind, "accepted");
    assert.equal(smtp.logins.length, 2);
  });

  it("that is refused is the account's fault, with the server's words", async () => {
    const smtp = await server({ script: { onAuth: () => ({ code: 535, text: "5.7.8 Who are you?" }) } });
    const reply = await deliver(smtp, { security: "none", ...LOGIN });
    assert.equal(reply.kind, "refused");
    if (reply.kind !== "refused") return;
    assert.deepEqual([reply.stage, reply.code], ["auth", 535]);
    assert.match(reply.response, /Who are you/);
  });

  it("is not left out in silence where the server offers no AUTH", async () => {
    const smtp = await server({ auth: "hidden" });
    const reply = await deliver(smtp, { security: "none", ...LOGIN });
    assert.match(reply.kind === "unreachable" ? reply.reason : "", /offers no AUTH/);
    assert.equal(smtp.messages.length, 0);
  });

  it("the server takes forever to judge does not hang", async () => {
    const silent = await startScriptedServer(agreeing({ EHLO: "250-test\r\n250 AUTH PLAIN", AUTH: "silence" }));
    closing.push(silent.close);
    const reply = await deliver(silent, { security: "none", ...LOGIN, timeoutSeconds: 0.5 });
    assert.equal(reply.kind === "unreachable" && reply.stage, "auth");
  });
});

describe("hosts where passwords may cross in clear", () => {
  const may = passwordsInClear(["mail.internal", "10.1.0.0/16", "192.0.2.7", "fd00::/8"]);
  for (const [host, address, expected] of [
    ["localhost", "127.0.0.1", true],
    ["anything", "127.8.9.10", true],
    ["anything", "::1", true],
    ["anything", "::ffff:127.0.0.1", true],
    ["Mail.Internal", "203.0.113.5", true],
    ["relay", "10.1.200.3", true],
    ["relay", "10.2.0.1", false],
    ["relay", "192.0.2.7", true],
    ["relay", "192.0.2.8", false],
    ["relay", "fd12::1", true],
    ["relay", "fe80::1", false],
    // A name that only says it is local is not.
    ["localhost", "203.0.113.5", false],
    ["relay", "", false],
  ] as const) {
    it(`${host} at ${address || "no address"}: ${expected}`, () => assert.equal(may(host, address), expected));
  }
});

describe("a server that quotes what it was told", () => {
  it("has the password masked in its words, however it was sent", async () => {
    for (const mechanism of ["PLAIN", "LOGIN"]) {
      let heard = "";
      const scripted = await startScriptedServer((line, connection) => {
        if (line.startsWith("EHLO")) return `250-test\r\n250 AUTH ${mechanism}`;
        if (line === "AUTH LOGIN") return "334 VXNlcm5hbWU6";
        if (line === Buffer.from(LOGIN.user).toString("base64")) return "334 UGFzc3dvcmQ6";
        if (line.startsWith("AUTH PLAIN") || heard === "asked") return `535 5.7.8 bad: ${line} ${LOGIN.password}`;
        heard = line;
        return line === Buffer.from(LOGIN.password).toString("base64")
          ? `535 5.7.8 bad: ${line} ${LOGIN.password}`
          : agreeing({})(line, connection);
      });
      closing.push(scripted.close);
      const reply = await deliver(scripted, { security: "none", ...LOGIN });
      assert.ok(reply.kind === "refused" && reply.stage === "auth", JSON.stringify(reply));
      assert.match(reply.response, /^535 5\.7\.8 bad: (AUTH PLAIN )?\*\*\* \*\*\*$/);
    }
  });
});
