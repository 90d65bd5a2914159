import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { Account } from "@async-mail/domain/account";
import { eventually, gate } from "../../support/eventually.ts";
import { type SmtpServerOptions, startSmtpServer } from "../../support/smtp-server.ts";
import { type BenchOptions, startBench } from "./dispatch-bench.ts";
import { agreeing, startScriptedServer } from "./scripted-server.ts";

const closing: (() => Promise<void>)[] = [];
after(async () => {
  await Promise.all(closing.map((close) => close()));
});

async function start(options: BenchOptions & { smtp?: SmtpServerOptions; account?: Partial<Account> } = {}) {
  const smtp = await startSmtpServer(options.smtp);
  const bench = await startBench(options);
  closing.push(smtp.close, bench.close);
  await bench.account({ port: smtp.port, ...options.account });
  const { accounts } = bench.store;
  const ask = async (id = "account-1") => (await accounts.askVerification(id, bench.clock.now())) as number;
  return { ...bench, smtp, ask, answer: (key: number) => accounts.verification(key) };
}

async function silent() {
  const server = await startScriptedServer(agreeing({ connect: "silence" }));
  closing.push(server.close);
  return server;
}

describe("a verification", () => {
  it("logs in and out without sending, answers in the server's words, and ends a hold", async () => {
    const bench = await start({ smtp: { auth: "required" }, account: { user: "me", password: "secret" } });
    await bench.store.accounts.hold("account-1", "by hand", null, bench.clock.now());
    const verify = async () => {
      const key = await bench.ask();
      await bench.verify();
      return bench.answer(key);
    };
    bench.smtp.script = { onAuth: () => ({ code: 535, text: "5.7.8 Not you" }) };
    assert.deepEqual(await verify(), { ok: false, text: "535 5.7.8 Not you" });
    assert.equal((await bench.store.accounts.get("account-1", bench.clock.now()))?.state, "held");
    bench.smtp.script = {};
    assert.deepEqual(await verify(), { ok: true, text: "" });
    assert.equal((await bench.store.accounts.get("account-1", bench.clock.now()))?.state, "ready");
    assert.equal(bench.smtp.messages.length, 0);
  });

  it("opens no connection above the account's share: one in use tells as much", async () => {
    const [reached, answer] = [gate(), gate()];
    const onData = async () => {
      reached.open();
      await answer.opened;
      return undefined;
    };
    const bench = await start({ smtp: { script: { onData } }, account: { maxConnections: 1 } });
    await bench.enqueue();
    await bench.pass();
    await reached.opened;
    const key = await bench.ask();
    await bench.verify();
    assert.deepEqual(await bench.answer(key), { ok: true, text: "in use: a connection is logged in" });
    assert.equal(bench.smtp.connections.total, 1);
    answer.open();
    await bench.landed();
  });

  it("waits for a connection of the share when all have older settings", async () => {
    const [reached, answer] = [gate(), gate()];
    const onData = async () => {
      reached.open();
      await answer.opened;
      return undefined;
    };
    const bench = await start({ smtp: { auth: "optional", script: { onData } }, account: { maxConnections: 1 } });
    await bench.enqueue();
    await bench.pass();
    await reached.opened;
    await bench.account({ port: bench.smtp.port, maxConnections: 1, user: "me", password: "new" });
    const key = await bench.ask();
    await bench.verifications.look();
    assert.equal(bench.smtp.connections.total, 1);
    answer.open();
    await bench.verifications.answered();
    assert.deepEqual(await bench.answer(key), { ok: true, text: "" });
    assert.equal(bench.smtp.connections.max, 1);
    assert.equal(bench.smtp.logins[0]?.password, "new");
  });

  it("of a silent server delays no other's", async () => {
    const bench = await start();
    const server = await silent();
    await bench.account({ id: "silent", port: server.port, timeoutSeconds: 60 });
    const [slow, fast] = [await bench.ask("silent"), await bench.ask()];
    await bench.verifications.look();
    await eventually(() => bench.answer(fast), 2000, "the other's answer");
    assert.equal(await bench.answer(slow), null);
    bench.stopping.abort();
    bench.relay.stop();
    await bench.verifications.answered();
    assert.equal(await bench.answer(slow), null, "left to another dispatcher");
  });

  it("that fails on a bug is answered too", async () => {
    const bench = await start({ openConnection: () => Promise.reject(new TypeError("a bug")) });
    const key = await bench.ask();
    await bench.verify();
    assert.deepEqual(await bench.answer(key), { ok: false, text: "TypeError: a bug" });
  });
});
