import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { bootReading, createClock } from "@async-mail/runtime/clock";
import { openedAt } from "../../support/database.ts";
import { eventually, gate } from "../../support/eventually.ts";
import { aCheckedAccount, aCheckedMessage } from "../../support/messages.ts";
import { type Proc, startProcess } from "../../support/processes.ts";
import { type SmtpServer, type SmtpServerOptions, startSmtpServer } from "../../support/smtp-server.ts";
import { agreeing, startScriptedServer } from "./scripted-server.ts";

const closing: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

/** A real dispatcher before a real server; messages are put into its file as the API would. */
async function start(options: { smtp?: SmtpServerOptions; config?: string; env?: Record<string, string> } = {}) {
  const smtp: SmtpServer = await startSmtpServer(options.smtp);
  const env = { SMTP_HOST: smtp.host, SMTP_PORT: String(smtp.port), SMTP_SECURITY: "none", ...options.env };
  const proc: Proc = await startProcess("dispatcher", { env, ...(options.config ? { config: options.config } : {}) });
  await proc.logged("started", 30_000);
  const path = join(proc.folder, "mail.db");
  const store = await openedAt(path, bootReading());
  const { now } = createClock(store.steadyOffsetMs);
  closing.push(
    smtp.close,
    () => store.close(),
    async () => proc.kill("SIGKILL"),
  );
  const enqueue = async (count: number) => {
    const messages = Array.from({ length: count }, () => aCheckedMessage());
    assert.deepEqual(
      await store.messages.enqueue(messages, now()),
      messages.map(() => "queued"),
    );
    return messages.map((message) => message.id);
  };
  const record = async (id: string | undefined) => store.messages.get(id ?? "", now());
  return { smtp, proc, store, now, enqueue, record };
}

describe("a dispatcher process", () => {
  it("is woken by the database, sends, and shows what it did", async () => {
    const { smtp, proc, enqueue, record } = await start({ config: "[delivery]\nsend_interval_seconds = 60\n" });
    const [id] = await enqueue(1);
    await smtp.received(1);
    await eventually(async () => (await record(id))?.status === "sent");
    const metrics = await (
      await fetch(`${await proc.listening()}/metrics`, { headers: { "x-api-token": "test-token" } })
    ).text();
    assert.match(metrics, /asyncmail_attempts_total{account_id="default",outcome="sent"} 1/);
    assert.match(metrics, /asyncmail_smtp_session_seconds_count 1/);
    assert.match(metrics, /asyncmail_accept_to_sent_seconds_count 1/);
  });

  it("that is the first of all takes up the configured switch before it sends anything", async () => {
    const { smtp, store, enqueue } = await start({ env: { SCHEDULER_ACTIVE: "false" } });
    assert.equal((await store.service.status()).active, false);
    await enqueue(1);
    await store.service.setActive(true);
    await smtp.received(1);
  });

  it("asked to stop finishes what is in flight, gives back the rest, and exits with 0", async () => {
    const [reached, answer] = [gate(), gate()];
    const onData = async () => {
      reached.open();
      await answer.opened;
      return undefined;
    };
    const { smtp, proc, store, now, enqueue } = await start({ smtp: { script: { onData } } });
    await enqueue(40);
    await reached.opened;
    proc.kill("SIGTERM");
    await proc.logged("stopping");
    answer.open();
    assert.deepEqual(await proc.exited(), { code: 0, signal: null });
    assert.ok(smtp.messages.length <= 5, "one for each connection");
    assert.equal(smtp.connections.open, 0);
    const { records } = await store.messages.list({}, null, 100, now());
    const sent = records.filter((one) => one.status === "sent");
    assert.equal(sent.length, smtp.messages.length);
    assert.ok(records.every((one) => one.status === "sent" || (one.status === "pending" && one.attempts === 0)));
    const account = await store.accounts.get("default", now());
    assert.equal(account?.inFlight, 0);
    assert.deepEqual(await store.processes.list(), []);
  });

  it("whose server never answers leaves when its grace is over, and says what may have been delivered", async () => {
    const reached = gate();
    const onData = () => {
      reached.open();
      return new Promise<undefined>(() => {});
    };
    const config = "[delivery]\nshutdown_grace_seconds = 3\n";
    const { proc, enqueue, record } = await start({ smtp: { script: { onData } }, config });
    const [id] = await enqueue(1);
    await reached.opened;
    const { code } = await proc.stop();
    assert.equal(code, 1);
    const row = await record(id);
    assert.equal(row?.status, "deferred");
    assert.match(row?.deferredReason ?? "", /may have been delivered/);
  });

  it("stopped for longer than its lease does not send again what another sent meanwhile", async () => {
    const [reached, answer] = [gate(), gate()];
    const onRcpt = async (_: string, { connection }: { connection: number }) => {
      if (connection > 0) return undefined;
      reached.open();
      await answer.opened;
      return undefined;
    };
    const config = "[delivery]\nlease_seconds = 2\n";
    const { smtp, proc, store, enqueue, record } = await start({ smtp: { script: { onRcpt } }, config });
    const [id] = await enqueue(1);
    await reached.opened;
    proc.kill("SIGSTOP");
    const env = { SMTP_HOST: smtp.host, SMTP_PORT: String(smtp.port), SMTP_SECURITY: "none" };
    const second = await startProcess("dispatcher", { env, folder: proc.folder });
    closing.push(async () => second.kill("SIGKILL"));
    await smtp.received(1, 30_000);
    await eventually(async () => (await record(id))?.status === "sent");
    proc.kill("SIGCONT");
    await proc.logged("was_struck_off");
    await eventually(async () => (await store.processes.list()).length === 2, 5000, "its new number");
    await proc.logged("lease_lost", 10_000); // its connection was cut, though the server has not answered
    answer.open();
    assert.equal(smtp.messages.length, 1);
  });

  it("asked to stop waits for no server that says nothing, neither to send nor to verify", async () => {
    const silent = await startScriptedServer(agreeing({ connect: "silence" }));
    closing.push(silent.close);
    const config = "[delivery]\nshutdown_grace_seconds = 4\n";
    const { proc, store, now, enqueue, record } = await start({ env: { SMTP_PORT: String(silent.port) }, config });
    const [id] = await enqueue(1);
    await eventually(() => silent.sockets.length === 1);
    const other = aCheckedAccount({ id: "other", port: silent.port });
    await store.accounts.put(other, { keepPassword: false }, now());
    await store.accounts.askVerification("other", now());
    await eventually(() => silent.sockets.length === 2);
    assert.deepEqual(await proc.stop(), { code: 0, signal: null });
    const row = await record(id);
    assert.deepEqual([row?.status, row?.attempts], ["pending", 0]);
    assert.deepEqual(await store.processes.list(), []);
  });
});
