import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, describe, it } from "node:test";
import type { Withheld } from "@async-mail/db/store";
import type { Reply } from "@async-mail/domain/outcome";
import { eventually, gate } from "../../support/eventually.ts";
import { type SmtpServer, type SmtpServerOptions, startSmtpServer } from "../../support/smtp-server.ts";
import { accountAt, type TestRelay, testRelay, textOf } from "./relay-bench.ts";
import { agreeing, startScriptedServer } from "./scripted-server.ts";

const closing: (() => Promise<void>)[] = [];
after(async () => {
  await Promise.all(closing.map((close) => close()));
});

async function server(options: SmtpServerOptions = {}): Promise<SmtpServer> {
  const started = await startSmtpServer(options);
  closing.push(started.close);
  return started;
}

/** A server that answers no final dot before it is let; `reached`: the first one has come. */
async function pondering() {
  const [reached, answer] = [gate(), gate()];
  const onData = async () => {
    reached.open();
    await answer.opened;
    return undefined;
  };
  return { smtp: await server({ script: { onData } }), reached, answer };
}

function relayOf(options: Parameters<typeof testRelay>[0] = {}): TestRelay {
  const relay = testRelay(options);
  closing.push(relay.close);
  return relay;
}

describe("a message handed over", () => {
  it("arrives byte by byte, with its envelope, and the server's reply comes back", async () => {
    const smtp = await server();
    const reply = await relayOf().deliver(accountAt(smtp.port), { recipients: ["a@example.org", "b@example.org"] });
    const [message] = await smtp.received(1);
    assert.equal(message?.from, "sender@example.com");
    assert.deepEqual(message?.to, ["a@example.org", "b@example.org"]);
    assert.equal(message?.raw.toString(), "Subject: Hello\r\n\r\n.A line that begins with a dot\r\n");
    assert.equal(message?.session.ehloName, "client.example.com");
    assert.equal(reply.kind, "accepted");
    assert.equal((reply as Extract<Reply, { kind: "accepted" }>).code, 250);
    assert.deepEqual(recipients(reply), [
      ["a@example.org", "accepted", 250],
      ["b@example.org", "accepted", 250],
    ]);
  });

  it("may be large, and have the null sender", async () => {
    const smtp = await server();
    const raw = Buffer.concat([Buffer.from("Subject: Large\r\n\r\n"), Buffer.alloc(3_000_000, "0123456789abcde\r\n")]);
    assert.equal((await relayOf().deliver(accountAt(smtp.port), { ...textOf(raw), sender: "" })).kind, "accepted");
    const [message] = await smtp.received(1);
    assert.equal(message?.from, "");
    assert.equal(message?.raw.toString("latin1").trimEnd(), raw.toString("latin1").trimEnd());
  });

  it("with letters outside ASCII in an address asks for SMTPUTF8, also where only its headers have them", async () => {
    const offering = await startScriptedServer(agreeing({ EHLO: "250-test\r\n250 SMTPUTF8" }));
    closing.push(offering.close);
    const relay = relayOf();
    const foreign = { smtpUtf8: "jörg@example.org" };
    for (const [sender, more] of [
      ["jörg@example.com", foreign],
      ["ascii@example.com", foreign],
      ["ascii@example.com", {}],
    ] as const)
      assert.equal((await relay.deliver(accountAt(offering.port), { sender, ...more })).kind, "accepted");
    assert.deepEqual(
      offering.lines.filter((line) => line.startsWith("MAIL")),
      [
        "MAIL FROM:<jörg@example.com> SMTPUTF8",
        "MAIL FROM:<ascii@example.com> SMTPUTF8",
        "MAIL FROM:<ascii@example.com>",
      ],
    );
  });

  it("is offered what EHLO offered in clear, where encryption is a bonus and STARTTLS was refused", async () => {
    const scripted = await startScriptedServer(
      agreeing({ EHLO: "250-test\r\n250-SMTPUTF8\r\n250 STARTTLS", STARTTLS: "454 4.7.0 TLS not available" }),
    );
    closing.push(scripted.close);
    const account = accountAt(scripted.port, { security: "opportunistic" });
    assert.equal((await relayOf().deliver(account, { smtpUtf8: "jörg@example.org" })).kind, "accepted");
    assert.ok(scripted.lines.includes("MAIL FROM:<sender@example.com> SMTPUTF8"));
  });

  it("is asked of a server whose SIZE says no number: it has no fixed limit", async () => {
    for (const size of ["SIZE", "SIZE 0", "SIZE unlimited", "SIZE 52428800 octets"]) {
      const scripted = await startScriptedServer(agreeing({ EHLO: `250-test\r\n250 ${size}` }));
      closing.push(scripted.close);
      assert.equal((await relayOf().deliver(accountAt(scripted.port))).kind, "accepted", size);
    }
  });

  it("is not sent when it expired while it waited", async () => {
    const scripted = await startScriptedServer(agreeing({}));
    closing.push(scripted.close);
    const reply = await relayOf().deliver(accountAt(scripted.port), {}, 5, { expired: () => true });
    assert.ok(reply.kind === "given_back" && !reply.mailFromSent);
    assert.ok(!scripted.lines.some((line) => line.startsWith("MAIL")));
  });

  it("with such an address is an error at a server without SMTPUTF8, which is not even asked", async () => {
    const plain = await startScriptedServer(agreeing({}));
    closing.push(plain.close);
    const relay = relayOf();
    const reply = await relay.deliver(accountAt(plain.port), { smtpUtf8: "jörg@example.org" });
    assert.deepEqual(reply, {
      kind: "uncomposed",
      permanent: true,
      reason: "the server takes no address with letters outside ASCII before the @ (SMTPUTF8): jörg@example.org",
    });
    assert.ok(!plain.lines.some((line) => line.startsWith("MAIL")));
    assert.equal((await relay.deliver(accountAt(plain.port))).kind, "accepted", "over the same connection");
    assert.equal(plain.sockets.length, 1);
  });

  it("sends all of an envelope at once where it may, and an empty message where nobody is to get it", async () => {
    const arrived: string[] = [];
    const offering = await startScriptedServer((line, connection) => {
      if (line.startsWith("RCPT TO:<gone")) return "550 5.1.1 No such user";
      return agreeing({ EHLO: "250-test\r\n250 PIPELINING" })(line, connection);
    });
    closing.push(offering.close);
    const relay = relayOf();
    const account = accountAt(offering.port);
    await relay.deliver(account, {}, 1);
    offering.sockets[0]?.on("data", (chunk) => arrived.push(chunk.toString()));
    assert.equal(
      (await relay.deliver(account, { recipients: ["a@example.org", "b@example.org"] }, 1)).kind,
      "accepted",
    );
    assert.equal(
      arrived[0],
      "MAIL FROM:<sender@example.com>\r\nRCPT TO:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n",
    );
    const nobody = await relay.deliver(account, { recipients: ["gone@example.org"] }, 1);
    assert.deepEqual(stageAndCode(nobody), ["rcpt", 550]);
    assert.deepEqual(offering.lines.slice(-2), ["DATA", "."], "354 although nobody was accepted");
    assert.equal((await relay.deliver(account, {}, 1)).kind, "accepted");
    assert.equal(offering.sockets.length, 1);
  });

  it("with an address that would be another command is asked of no server", async () => {
    const scripted = await startScriptedServer(agreeing({}));
    closing.push(scripted.close);
    const relay = relayOf();
    for (const address of ["a@example.org>\r\nRCPT TO:<b@example.org", "a>@example.org", "a\0@example.org"])
      for (const fields of [{ sender: address }, { recipients: ["ok@example.org", address] }]) {
        const reply = await relay.deliver(accountAt(scripted.port), fields);
        assert.ok(reply.kind === "uncomposed" && reply.permanent, JSON.stringify(fields));
        assert.match(reply.reason, /^Invalid address "a/);
      }
    assert.ok(!scripted.lines.some((line) => /^(MAIL|RCPT)/.test(line)));
  });

  it("waits for the answer to the final dot much longer than for the others", async () => {
    const answer = gate();
    const smtp = await server({ script: { onData: async () => void (await answer.opened) } });
    const sent = relayOf().deliver(accountAt(smtp.port, { timeoutSeconds: 0.5 }));
    setTimeout(answer.open, 1_500);
    assert.equal((await sent).kind, "accepted");
  });
});

describe("what the server refuses", () => {
  it("keeps each recipient's own answer", async () => {
    const smtp = await server({
      script: {
        onRcpt: (to) => {
          if (to === "gone@example.org") return { code: 550, text: "5.1.1 No such user" };
          if (to === "full@example.org") return { code: 452, text: "4.2.2 Full" };
          return undefined;
        },
      },
    });
    const to = ["a@example.org", "gone@example.org", "full@example.org"];
    const reply = await relayOf().deliver(accountAt(smtp.port), { recipients: to });
    assert.equal(reply.kind, "accepted");
    assert.deepEqual(recipients(reply), [
      ["a@example.org", "accepted", 250],
      ["gone@example.org", "refused", 550],
      ["full@example.org", "waiting", 452],
    ]);
    assert.deepEqual((await smtp.received(1))[0]?.to, ["a@example.org"]);
  });

  it("names the stage, and the connection serves the next message", async () => {
    const smtp = await server();
    const relay = relayOf();
    const account = accountAt(smtp.port);
    const cases: [keyof SmtpServer["script"], number, string][] = [
      ["onMail", 550, "mail"],
      ["onMail", 451, "mail"],
      ["onRcpt", 554, "rcpt"],
      ["onRcpt", 450, "rcpt"],
      ["onData", 554, "dot"],
      ["onData", 452, "dot"],
    ];
    for (const [step, code, stage] of cases) {
      smtp.script = { [step]: () => ({ code, text: `${step} says no` }) };
      const reply = await relay.deliver(account, {}, 1);
      assert.equal(reply.kind, "refused");
      if (reply.kind !== "refused") continue;
      assert.deepEqual([reply.stage, reply.code], [stage, code]);
      assert.match(reply.response, new RegExp(`^${code}.*says no`));
      assert.equal(reply.recipients[0]?.outcome, stage === "rcpt" && code >= 500 ? "refused" : "waiting");
    }
    smtp.script = {};
    assert.equal((await relay.deliver(account, {}, 1)).kind, "accepted");
    assert.equal(smtp.connections.total, 1);
  });

  it("is a refusal of DATA too, and of a message larger than the server's SIZE", async () => {
    const refusing = await startScriptedServer(agreeing({ DATA: "451-4.3.0 Not\r\n451 4.3.0 now" }));
    closing.push(refusing.close);
    const data = await relayOf().deliver(accountAt(refusing.port));
    assert.deepEqual(stageAndCode(data), ["data", 451]);
    assert.equal(data.kind === "refused" && data.response, "451 4.3.0 Not 4.3.0 now");

    const small = await startScriptedServer(agreeing({ EHLO: "250-test\r\n250 SIZE 20" }));
    closing.push(small.close);
    assert.deepEqual(stageAndCode(await relayOf().deliver(accountAt(small.port))), ["mail", 552]);
    assert.ok(!small.lines.some((line) => line.startsWith("MAIL")));
  });

  it("ends the session when it is a 421", async () => {
    const smtp = await server({ script: { onMail: () => ({ code: 421, text: "4.3.2 Too busy" }) } });
    const relay = relayOf();
    assert.deepEqual(stageAndCode(await relay.deliver(accountAt(smtp.port))), ["mail", 421]);
    smtp.script = {};
    assert.equal((await relay.deliver(accountAt(smtp.port))).kind, "accepted");
    assert.equal(smtp.connections.total, 2);

    for (const offers of ["8BITMIME", "PIPELINING"]) {
      const scripted = await startScriptedServer((line, connection) =>
        line.startsWith("RCPT TO:<b") ? "421 Bye" : agreeing({ EHLO: `250-test\r\n250 ${offers}` })(line, connection),
      );
      closing.push(scripted.close);
      const reply = await relayOf().deliver(accountAt(scripted.port), {
        recipients: ["a@example.org", "b@example.org"],
      });
      assert.deepEqual(stageAndCode(reply), ["rcpt", 421], offers);
      assert.ok(reply.kind === "refused" && reply.recipients.every(({ outcome }) => outcome === "waiting"), offers);
      await eventually(() => scripted.sockets[0]?.closed, 5000, "its end");
      assert.ok(!scripted.lines.includes("."), "a was accepted, and gets nothing");
    }
  });
});

describe("a connection that breaks", () => {
  it("before the message was handed over is surely not sent, and says where", async () => {
    for (const [step, stage] of [
      ["MAIL", "mail"],
      ["RCPT", "rcpt"],
      ["DATA", "data"],
    ] as const) {
      for (const how of ["cut", "silence"] as const) {
        const scripted = await startScriptedServer(agreeing({ [step]: how }));
        closing.push(scripted.close);
        const reply = await relayOf().deliver(accountAt(scripted.port, { timeoutSeconds: 0.5 }));
        assert.deepEqual([reply.kind, "stage" in reply && reply.stage], ["broken", stage], `${step} ${how}`);
      }
    }
  });

  it("in the middle of the message is surely not sent", async () => {
    const smtp = await server({ script: { onDataBegin: () => "cut" } });
    const raw = Buffer.alloc(20_000_000, "0123456789abcde\r\n");
    const reply = await relayOf().deliver(accountAt(smtp.port), textOf(raw));
    assert.deepEqual([reply.kind, "stage" in reply && reply.stage], ["broken", "data"]);
  });

  it("after the final dot may have been sent", async () => {
    const smtp = await server({ script: { onData: () => "cut" } });
    assert.equal((await relayOf().deliver(accountAt(smtp.port))).kind, "ambiguous");
  });

  it("is not used again", async () => {
    const smtp = await server({ script: { onData: () => "cut" } });
    const relay = relayOf();
    await relay.deliver(accountAt(smtp.port));
    smtp.script = {};
    assert.equal((await relay.deliver(accountAt(smtp.port))).kind, "accepted");
    assert.equal(smtp.connections.total, 2);
  });

  it("before the message, though it was asked for, is surely not sent", async () => {
    const scripted = await startScriptedServer(agreeing({ DATA: "354 Go on\r\n421 4.4.2 Bye" }));
    closing.push(scripted.close);
    const reply = await relayOf().deliver(accountAt(scripted.port));
    assert.ok(reply.kind === "refused" || reply.kind === "broken", JSON.stringify(reply));
    assert.ok("stage" in reply && reply.stage === "data");
  });

  it("out of step is not trusted: an answer before the end of the message", async () => {
    const scripted = await startScriptedServer(agreeing({ DATA: "354 Go on\r\n250 2.0.0 Taken" }));
    closing.push(scripted.close);
    const raw = Buffer.alloc(20_000_000, "0123456789abcde\r\n");
    assert.equal((await relayOf().deliver(accountAt(scripted.port), textOf(raw))).kind, "broken");
  });
});

describe("a server that cannot be reached", () => {
  it("is the account's fault, with the stage", async () => {
    const gone = await startScriptedServer(agreeing({}));
    await gone.close();
    const cases: [Reply, string][] = [[await relayOf().deliver(accountAt(gone.port)), "connect"]];
    for (const [step, how, stage] of [
      ["connect", "silence", "greeting"],
      ["connect", "cut", "greeting"],
      ["EHLO", "silence", "ehlo"],
      ["EHLO", "cut", "ehlo"],
    ] as const) {
      const scripted = await startScriptedServer(agreeing({ [step]: how }));
      closing.push(scripted.close);
      cases.push([await relayOf().deliver(accountAt(scripted.port, { timeoutSeconds: 0.5 })), stage]);
    }
    const nowhere = accountAt(25, { host: "does-not-exist.invalid", timeoutSeconds: 2 });
    cases.push([await relayOf().deliver(nowhere), "dns"]);
    for (const [reply, stage] of cases) {
      assert.equal(reply.kind, "unreachable", JSON.stringify(reply));
      assert.equal(reply.kind === "unreachable" && reply.stage, stage, JSON.stringify(reply));
    }
  });

  it("that drips an endless answer is given up: no silence is needed for that", async () => {
    const endless: NodeJS.Timeout[] = [];
    const drip = (socket: Socket | undefined, line: string) => endless.push(setInterval(() => socket?.write(line), 50));
    for (const [step, kind] of [
      ["EHLO", "unreachable"],
      ["RCPT", "broken"],
    ] as const) {
      const scripted = await startScriptedServer((line, connection) => {
        if (!line.startsWith(step)) return agreeing({})(line, connection);
        drip(scripted.sockets[connection], "250-more\r\n");
        return undefined;
      });
      closing.push(scripted.close);
      assert.equal((await relayOf().deliver(accountAt(scripted.port, { timeoutSeconds: 0.5 }))).kind, kind);
    }
    for (const timer of endless) clearInterval(timer);
  });

  it("is not quoted when it does not greet with 220", async () => {
    for (const words of ["HTTP/1.1 400 secret", "554 secret", "554-secret\r\n554 secret", "421 secret"]) {
      const scripted = await startScriptedServer(agreeing({ connect: words }));
      closing.push(scripted.close);
      const reply = await relayOf().deliver(accountAt(scripted.port));
      assert.equal(reply.kind, "unreachable");
      assert.doesNotMatch(JSON.stringify(reply), /secret|HTTP/);
      const reason = "reason" in reply ? reply.reason.replace(String(scripted.port), "port") : "";
      assert.doesNotMatch(reason, /554|421/);
    }
  });

  it("is tried by one message; the others that wait go back", async () => {
    const greeting = gate();
    const smtp = await server({
      script: { onConnect: async () => greeting.opened.then(() => ({ code: 554, text: "no" })) },
    });
    const relay = relayOf();
    const replies = Array.from({ length: 4 }, () => relay.deliver(accountAt(smtp.port), {}, 1));
    greeting.open();
    assert.deepEqual(
      (await Promise.all(replies)).map((reply) => reply.kind),
      ["unreachable", "given_back", "given_back", "given_back"],
    );
    assert.equal(smtp.connections.total, 1);
  });
});

describe("connections", () => {
  it("are used again, one after another", async () => {
    const smtp = await server();
    const relay = relayOf();
    for (let n = 0; n < 5; n++) assert.equal((await relay.deliver(accountAt(smtp.port))).kind, "accepted");
    assert.equal(smtp.connections.total, 1);
    assert.deepEqual(
      smtp.messages.map((one) => one.session.transaction),
      [0, 1, 2, 3, 4],
    );
  });

  it("never exceed the account's share", async () => {
    const smtp = await server();
    const relay = relayOf();
    const replies = Array.from({ length: 40 }, () => relay.deliver(accountAt(smtp.port), {}, 3));
    for (const reply of await Promise.all(replies)) assert.equal(reply.kind, "accepted");
    assert.equal(smtp.connections.max, 3);
  });

  it("never exceed the dispatcher's maximum: idle ones of other accounts end first", { timeout: 10_000 }, async () => {
    const smtp = await server();
    const relay = relayOf({ maxConnections: 2 });
    const replies = Array.from({ length: 20 }, (_, n) =>
      relay.deliver(accountAt(smtp.port, { id: `account-${n % 5}` })),
    );
    for (const reply of await Promise.all(replies)) assert.equal(reply.kind, "accepted");
    assert.equal(smtp.connections.max, 2);
  });

  it("are given to the more urgent first, whoever was there before, and to as urgent ones in turn", async () => {
    const { smtp, reached, answer } = await pondering();
    const relay = relayOf();
    const send = (name: string, urgency: number) =>
      relay.deliver(accountAt(smtp.port), { recipients: [`${name}@example.org`] }, 1, { urgency });
    const sending = [send("first", 3)];
    await reached.opened;
    sending.push(send("low", 3), send("a", 2), send("urgent", 0), send("b", 2), send("high", 1));
    answer.open();
    await Promise.all(sending);
    assert.deepEqual(
      smtp.messages.map(({ to }) => to[0]?.split("@")[0]),
      ["first", "urgent", "high", "a", "b", "low"],
    );
  });

  it("are given to the less urgent too: at most nine pass one that waits", async () => {
    const { smtp, reached, answer } = await pondering();
    const relay = relayOf();
    const send = (name: string, urgency: number) =>
      relay.deliver(accountAt(smtp.port), { recipients: [`${name}@example.org`] }, 1, { urgency });
    const sending = [send("first", 0)];
    await reached.opened;
    sending.push(send("low", 3), ...Array.from({ length: 20 }, (_, i) => send(`urgent-${i}`, 0)));
    answer.open();
    await Promise.all(sending);
    assert.equal(
      smtp.messages.findIndex(({ to }) => to[0] === "low@example.org"),
      10,
    );
  });

  it("that are all stuck give back what waits behind them, but for so many", async () => {
    const { smtp, reached, answer } = await pondering();
    const relay = relayOf();
    const sending = Array.from({ length: 6 }, () => relay.deliver(accountAt(smtp.port), {}, 1));
    await reached.opened;
    relay.shorten(1, 2);
    const back = await Promise.all(sending.slice(3));
    assert.ok(back.every((reply) => reply.kind === "given_back" && !reply.mailFromSent));
    answer.open();
    for (const reply of await Promise.all(sending.slice(0, 3))) assert.equal(reply.kind, "accepted");
  });

  it("end with QUIT when idle, before the server does it", async () => {
    const scripted = await startScriptedServer(agreeing({}));
    closing.push(scripted.close);
    const relay = relayOf({ idleMs: 50 });
    await relay.deliver(accountAt(scripted.port));
    await eventually(() => scripted.lines.at(-1) === "QUIT", 2000, "QUIT");
  });

  it("end when they are older than the account's ttl", async () => {
    const smtp = await server();
    let nowMs = 0;
    const relay = relayOf({ monotonicMs: () => nowMs });
    const account = accountAt(smtp.port, { ttlSeconds: 60 });
    // openConnection has its own clock in the bench; both begin near 0 for this purpose.
    await relay.deliver(account);
    nowMs = performance.now() + 61_000;
    await relay.deliver(account);
    assert.equal(smtp.connections.total, 2);
    assert.equal(smtp.connections.max, 1, "the old one was closed before the new one was opened");
  });

  for (const [end, farewell] of [
    ["are closed", "cut"],
    ["answer MAIL with 421", "421 4.4.2 Idle for too long"],
    ["answer MAIL with Amazon's words", "451 4.4.2 Timeout waiting for data from client."],
  ] as const)
    it(`that the server had done with, and ${end}, give the message back, for a fresh one`, async () => {
      const scripted = await startScriptedServer((line, connection) => {
        if (line.startsWith("MAIL") && scripted.lines.filter((one) => one.startsWith("MAIL")).length > 3) {
          if (connection < 3) return farewell;
        }
        return agreeing({})(line, connection);
      });
      closing.push(scripted.close);
      const relay = relayOf();
      const account = accountAt(scripted.port);
      await Promise.all([1, 2, 3].map((messageKey) => relay.deliver(account, {}, 5, { messageKey })));
      assert.equal(scripted.sockets.length, 3);
      // The server may have counted it.
      const again = await relay.deliver(account, {}, 5, { messageKey: 4 });
      assert.ok(again.kind === "given_back" && again.mailFromSent);
      assert.equal((await relay.deliver(account, {}, 5, { messageKey: 4 })).kind, "accepted");
      assert.equal(scripted.sockets.length, 4, "the two others had been idle as long");
    });

  it("are not used for a message that was given back so: a server that cuts it again is cutting it", async () => {
    const scripted = await startScriptedServer((line, connection) =>
      line.includes("killer") ? "cut" : agreeing({})(line, connection),
    );
    closing.push(scripted.close);
    const relay = relayOf();
    const account = accountAt(scripted.port);
    await relay.deliver(account, {}, 1);
    const first = await relay.deliver(account, { sender: "killer@example.com" }, 1, { messageKey: 7 });
    assert.equal(first.kind, "given_back");
    await relay.deliver(account, {}, 1);
    const second = await relay.deliver(account, { sender: "killer@example.com" }, 1, { messageKey: 7 });
    assert.deepEqual(second, { kind: "broken", stage: "mail", reason: "Connection closed unexpectedly" });
  });

  it("are not shared between an account's old and new settings", async () => {
    const [reached, answer] = [gate(), gate()];
    const onData = async () => {
      reached.open();
      await answer.opened;
      return undefined;
    };
    const [old, renewed] = [await server({ script: { onData } }), await server()];
    const relay = relayOf();
    const sending = relay.deliver(accountAt(old.port));
    await reached.opened;
    await relay.deliver(accountAt(renewed.port));
    answer.open();
    await sending;
    for (let n = 0; n < 2; n++) await relay.deliver(accountAt(renewed.port));
    assert.equal(renewed.messages.length, 3);
    await eventually(() => old.connections.open === 0, 5000, "the old connection's end");
  });

  it("beyond what is needed are offered to others", async () => {
    const smtp = await server();
    let nowMs = 0;
    const relay = relayOf({ monotonicMs: () => nowMs });
    await relay.deliver(accountAt(smtp.port), {}, 5);
    assert.equal(relay.needed(1, 5, false), 5, "too early");
    nowMs = 2_000;
    assert.equal(relay.needed(1, 5, true), 5, "a message of the account is on its way");
    assert.equal(relay.needed(1, 5, false), 1);
    smtp.cutConnections();
    await eventually(() => smtp.connections.open === 0, 5000, "the idle connection's end");
    await eventually(() => relay.needed(1, 5, false) === 0, 5000, "the last one given back");
  });

  it("above a share that fell end after their message", async () => {
    const held = Array.from({ length: 4 }, gate);
    const smtp = await server();
    smtp.script = { onData: async ({ session }) => void (await held[session.connection]?.opened) };
    const relay = relayOf();
    const sending = Array.from({ length: 4 }, () => relay.deliver(accountAt(smtp.port), {}, 4));
    await eventually(() => smtp.connections.open === 4);
    assert.equal(relay.needed(1, 1, true), 4, "they are open");
    const next = relay.deliver(accountAt(smtp.port), {}, 1);
    for (const one of held) one.open();
    for (const reply of await Promise.all([...sending, next])) assert.equal(reply.kind, "accepted");
    await eventually(() => smtp.connections.open === 1, 5000, "the end of three");
    assert.equal(smtp.connections.total, 4, "one of them served the next message");
    assert.equal(relay.needed(1, 1, true), 1);
  });

  it("serve an account that has none before the next message of one that has several", async () => {
    const answers: (() => void)[] = [];
    const onData = () => new Promise<undefined>((resolve) => answers.push(() => resolve(undefined)));
    const [busy, other] = [await server({ script: { onData } }), await server()];
    const relay = relayOf({ maxConnections: 4 });
    const many = Array.from({ length: 20 }, () => relay.deliver(accountAt(busy.port, { id: "busy" }), {}, 6));
    await eventually(() => answers.length === 4);
    const urgent = relay.deliver(accountAt(other.port, { id: "other" }));
    answers.shift()?.();
    assert.equal((await urgent).kind, "accepted");
    assert.equal(busy.messages.length, 1);
    busy.script = {};
    for (const answer of answers) answer();
    for (const reply of await Promise.all(many)) assert.equal(reply.kind, "accepted");
  });

  it("may have a time-out that no timer can wait for", async () => {
    const smtp = await server({
      script: { onRcpt: () => new Promise((resolve) => setTimeout(resolve, 50, undefined)) },
    });
    const recipients = ["a@example.org", "b@example.org", "c@example.org"];
    for (const timeoutSeconds of [1_000_000, 10_000_000]) {
      const account = accountAt(smtp.port, { timeoutSeconds });
      assert.equal((await relayOf().deliver(account, { recipients })).kind, "accepted", String(timeoutSeconds));
    }
  });
});

describe("a message that follows another over one connection", () => {
  const EHLO = "250-test\r\n250 PIPELINING";

  type Three = {
    /** What the server says to EHLO, and to the final dots of the three. */
    ehlo?: string;
    dot?: string;
    hops?: Partial<Parameters<TestRelay["send"]>[0]>[];
  };

  /** One connection with a message sent before; then three at once, of which each may be followed by the next. */
  async function three({ ehlo = EHLO, dot = "250 2.0.0 Ok", hops = [] }: Three = {}): Promise<{
    chunks: string[];
    replies: Reply[];
  }> {
    const says = { dot: "250 2.0.0 Ok" };
    const chunks: string[] = [];
    let isSilent = false;
    const scripted = await startScriptedServer((line, connection) => {
      isSilent ||= line === "." && says.dot === "silence";
      return isSilent ? undefined : agreeing({ EHLO: ehlo, ".": says.dot })(line, connection);
    });
    closing.push(scripted.close);
    const relay = relayOf({ dataReplyTimeoutMs: 500 });
    const account = accountAt(scripted.port, { timeoutSeconds: 0.5 });
    await relay.deliver(account, {}, 1);
    says.dot = dot;
    scripted.sockets[0]?.on("data", (chunk) => chunks.push(chunk.toString()));
    const replies = await Promise.all(
      [0, 1, 2].map((n) => relay.deliver(account, { recipients: [`${n}@example.org`] }, 1, hops[n] ?? {})),
    );
    return { chunks, replies };
  }

  const kinds = (replies: Reply[]) => replies.map(({ kind }) => kind);

  it("is not taken for sent where the server answers twice, and then refuses", async () => {
    for (const surplus of [1, 2, 3]) {
      const answer = ["250 2.0.0 Ok", ...Array.from({ length: surplus }, () => "250 Again")].join("\r\n");
      let dots = 0;
      const scripted = await startScriptedServer((line, connection) => {
        if (line === ".") return ++dots === 2 ? answer : dots > 2 ? "554 5.7.1 Spam" : "250 2.0.0 Ok";
        return agreeing({ EHLO })(line, connection);
      });
      closing.push(scripted.close);
      const relay = relayOf();
      const account = accountAt(scripted.port);
      await relay.deliver(account, {}, 1);
      const [first, ...others] = await Promise.all([1, 2, 3].map(() => relay.deliver(account, {}, 1)));
      assert.equal(first?.kind, "accepted");
      assert.ok(
        others.every(({ kind }) => kind !== "accepted"),
        `${surplus}: ${kinds(others)}`,
      );
    }
  });

  it("is begun with the last bytes of the one before, where the server takes it so", async () => {
    const { chunks, replies } = await three();
    assert.deepEqual(kinds(replies), ["accepted", "accepted", "accepted"]);
    assert.match(chunks[1] ?? "", /^Subject.*\r\n\.\r\nMAIL FROM:<.*RCPT TO:<1@example.org>\r\nDATA\r\n$/s);
    assert.equal(chunks.length, 4, "one for each, and the first one's envelope");
  });

  it("is not, where the server did not offer it", async () => {
    const { chunks, replies } = await three({ ehlo: "250-test\r\n250 8BITMIME" });
    assert.deepEqual(kinds(replies), ["accepted", "accepted", "accepted"]);
    assert.ok(chunks.every((chunk) => !/\.\r\nMAIL/.test(chunk)));
  });

  it("is sent also when that one is refused", async () => {
    const { replies } = await three({ dot: "554 5.7.1 Spam" });
    assert.deepEqual(replies.map(stageAndCode), [
      ["dot", 554],
      ["dot", 554],
      ["dot", 554],
    ]);
  });

  it("goes back when the connection breaks before that one is answered, which is ambiguous", async () => {
    for (const how of ["cut", "silence"] as const) {
      const { replies } = await three({ dot: how });
      const [first, second] = replies;
      assert.equal(first?.kind, "ambiguous", how);
      assert.ok(second?.kind === "given_back" && second.mailFromSent, how);
    }
  });

  it("is not begun when it may not be sent any more", async () => {
    let asked = 0; // before it waits for a connection
    const { chunks, replies } = await three({ hops: [{}, { stands: () => ++asked === 1 }] });
    const [first, second, third] = replies;
    assert.deepEqual(kinds([first!, third!]), ["accepted", "accepted"]);
    assert.ok(second?.kind === "given_back" && !second.mailFromSent);
    assert.ok(!chunks.join("").includes("1@example.org"));
  });

  const none = new Set<number>();
  const WITHHELD: Withheld[] = [
    "all",
    { accounts: new Set([1]), messages: none },
    { accounts: none, messages: new Set([2]) },
  ];

  it("is cut before its end when the account was held, or the service suspended, after it was begun", async () => {
    for (const withheld of WITHHELD) {
      let relay: TestRelay | null = null;
      let dots = 0;
      const scripted = await startScriptedServer((line, connection) => {
        // The second message is begun by now: its MAIL came with the first one's dot.
        if (line === "." && ++dots === 2) relay?.withhold(withheld);
        return agreeing({ EHLO })(line, connection);
      });
      closing.push(scripted.close);
      relay = relayOf();
      const account = accountAt(scripted.port);
      await relay.deliver(account, {}, 1);
      const [first, second] = await Promise.all(
        [1, 2].map((messageKey) => (relay as TestRelay).deliver(account, {}, 1, { messageKey })),
      );
      assert.equal(first?.kind, "accepted");
      assert.ok(second?.kind === "given_back" && second.mailFromSent, JSON.stringify(second));
      assert.equal(dots, 2, "its own dot never came");
    }
  });

  it("does not wait for a server that takes its time", async () => {
    const scripted = await startScriptedServer((line, connection) => {
      if (line !== ".") return agreeing({ EHLO })(line, connection);
      setTimeout(() => scripted.sockets[connection]?.write("250 2.0.0 At last\r\n"), 600);
      return undefined;
    });
    closing.push(scripted.close);
    const relay = relayOf();
    const chunks: string[] = [];
    await relay.deliver(accountAt(scripted.port), {}, 1);
    scripted.sockets[0]?.on("data", (chunk) => chunks.push(chunk.toString()));
    await Promise.all([1, 2].map(() => relay.deliver(accountAt(scripted.port), {}, 1)));
    assert.ok(chunks.every((chunk) => !/\.\r\nMAIL/.test(chunk)));
  });
});

describe("a dispatcher that may not stand any more", () => {
  it("cuts before the final dot, and gives the message back", async () => {
    const smtp = await server();
    for (const raw of [Buffer.from("Subject: small\r\n\r\nx\r\n"), Buffer.alloc(500_000, "0123456789abcde\r\n")]) {
      let stands = true;
      const onRcpt = () => {
        stands = false;
        return undefined;
      };
      smtp.script = { onRcpt };
      const reply = await relayOf({ stands: () => stands }).deliver(accountAt(smtp.port), textOf(raw));
      assert.deepEqual(reply, {
        kind: "given_back",
        reason: "this dispatcher may no longer stand",
        mailFromSent: true,
      });
    }
    assert.equal(smtp.messages.length, 0);
  });

  it("does not even begin when it knows already", async () => {
    const scripted = await startScriptedServer(agreeing({}));
    closing.push(scripted.close);
    const reply = await relayOf({ stands: () => false }).deliver(accountAt(scripted.port));
    assert.equal(reply.kind === "given_back" && reply.mailFromSent, false);
    assert.ok(!scripted.lines.some((line) => line.startsWith("MAIL")));
  });

  it("has its connections cut and gets back what waits, and may begin anew", async () => {
    const scripted = await startScriptedServer(agreeing({ RCPT: "silence" }));
    const fine = await server();
    closing.push(scripted.close);
    const relay = relayOf();
    const replies = Array.from({ length: 3 }, () => relay.deliver(accountAt(scripted.port), {}, 1));
    await eventually(() => scripted.lines.some((line) => line.startsWith("RCPT")));
    relay.drop();
    assert.deepEqual(
      (await Promise.all(replies)).map((reply) => [reply.kind, reply.kind === "given_back" && reply.mailFromSent]),
      [
        ["given_back", true],
        ["given_back", false],
        ["given_back", false],
      ],
    );
    assert.equal((await relay.deliver(accountAt(fine.port), {}, 1)).kind, "accepted");
  });
});

describe("a stop", () => {
  it("gives back what waits, and lets what is being sent finish", async () => {
    const [taken, answer] = [gate(), gate()];
    const smtp = await server({
      script: {
        onData: async () => {
          taken.open();
          await answer.opened;
          return undefined;
        },
      },
    });
    const relay = relayOf();
    const sending = relay.deliver(accountAt(smtp.port), {}, 1);
    const waiting = relay.deliver(accountAt(smtp.port), {}, 1);
    await taken.opened;
    relay.stop();
    assert.deepEqual(await waiting, {
      kind: "given_back",
      reason: "the dispatcher is stopping",
      mailFromSent: false,
    });
    assert.equal((await relay.deliver(accountAt(smtp.port))).kind, "given_back");
    answer.open();
    assert.equal((await sending).kind, "accepted");
    await relay.close();
    assert.equal(smtp.connections.open, 0);
  });

  it("gives up connections that are being opened, whatever the server does not say", async () => {
    for (const silent of ["connect", "EHLO"]) {
      const scripted = await startScriptedServer(agreeing({ [silent]: "silence" }));
      closing.push(scripted.close);
      const relay = relayOf();
      const waiting = relay.deliver(accountAt(scripted.port, { timeoutSeconds: 60 }));
      await eventually(() => scripted.sockets.length === 1);
      relay.stop();
      assert.equal((await waiting).kind, "given_back");
      await relay.close();
      await eventually(() => scripted.sockets[0]?.destroyed, 2000, "the end of the connection");
    }
  });

  it("that has to cut gives back what was not handed over, and owns up to what was", async () => {
    const taken = gate();
    const onData = () => {
      taken.open();
      return new Promise<undefined>(() => {});
    };
    const smtp = await server({ script: { onData } });
    const relay = relayOf();
    const handedOver = relay.deliver(accountAt(smtp.port));
    await taken.opened;
    const scripted = await startScriptedServer(agreeing({ RCPT: "silence" }));
    closing.push(scripted.close);
    const begun = relay.deliver(accountAt(scripted.port, { id: "other" }));
    await eventually(() => scripted.lines.some((line) => line.startsWith("RCPT")), 2000, "RCPT");
    relay.cut();
    assert.equal((await handedOver).kind, "ambiguous");
    assert.equal((await begun).kind, "given_back");
  });
});

function recipients(reply: Reply): unknown[] {
  return "recipients" in reply ? reply.recipients.map((one) => [one.address, one.outcome, one.code]) : [];
}

function stageAndCode(reply: Reply): unknown[] {
  return reply.kind === "refused" ? [reply.stage, reply.code] : [reply];
}
