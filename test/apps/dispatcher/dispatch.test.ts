import assert from "node:assert/strict";
import { open } from "node:fs/promises";
import { after, describe, it } from "node:test";
import { StorageBusy } from "@async-mail/db/store";
import { leave } from "@async-mail/dispatcher/stop";
import { simpleParser } from "mailparser";
import { START_MS } from "../../support/clock.ts";
import { eventually, gate } from "../../support/eventually.ts";
import { aCheckedAccount } from "../../support/messages.ts";
import { type SmtpServer, type SmtpServerOptions, startSmtpServer } from "../../support/smtp-server.ts";
import { type Bench, type BenchOptions, startBench } from "./dispatch-bench.ts";

const closing: (() => Promise<void>)[] = [];
after(async () => {
  await Promise.all(closing.map((close) => close()));
});

/** A dispatcher with one account at a real server. */
async function start(options: BenchOptions & { smtp?: SmtpServerOptions } = {}): Promise<Bench & { smtp: SmtpServer }> {
  const smtp = await startSmtpServer(options.smtp);
  const bench = await startBench(options);
  closing.push(smtp.close, bench.close);
  await bench.account({ port: smtp.port });
  return { ...bench, smtp };
}

describe("a due message", () => {
  it("is sent, settled and told", async () => {
    const { enqueue, dispatch, record, smtp, events, registry } = await start();
    const id = await enqueue({ recipients: ["recipient@example.org", "hidden@example.org"] });
    await dispatch();
    assert.deepEqual(smtp.messages[0]?.to, ["recipient@example.org", "hidden@example.org"]);
    const row = await record(id);
    assert.equal(row.status, "sent");
    assert.equal(row.sentMs, START_MS);
    assert.equal(row.attempts, 1);
    assert.match(row.smtpResponse ?? "", /^250/);
    assert.deepEqual(
      row.recipients.map((one) => [one.address, one.outcome]),
      [
        ["recipient@example.org", "accepted"],
        ["hidden@example.org", "accepted"],
      ],
    );
    const mail = await simpleParser(smtp.messages[0]?.raw ?? "");
    assert.equal(mail.messageId, row.messageId);
    assert.equal(mail.date?.getTime(), START_MS);
    assert.deepEqual(
      events.map((one) => one.event),
      ["claimed", "settled"],
    );
    assert.match(await registry.metrics(), /asyncmail_attempts_total{account_id="account-1",outcome="sent"} 1/);
  });

  it("with inline attachments carries their bytes", async () => {
    const { enqueue, dispatch, smtp } = await start();
    const content = Buffer.alloc(300_000, "bytes ");
    await enqueue({
      contents: [content],
      payload: {
        id: "with-attachment",
        from: "sender@example.com",
        to: "recipient@example.org",
        subject: "S",
        attachments: [{ filename: "a.bin", size: content.length }],
      },
      id: "with-attachment",
    });
    await dispatch();
    const mail = await simpleParser(smtp.messages[0]?.raw ?? "");
    assert.ok(mail.attachments[0]?.content.equals(content));
  });

  it("with an empty attachment carries an empty file", async () => {
    const { enqueue, dispatch, smtp } = await start();
    const payload = { id: "empty", from: "sender@example.com", to: "recipient@example.org", subject: "S" };
    const attachments = [{ filename: "empty.txt", size: 0 }];
    await enqueue({ id: "empty", contents: [new Uint8Array()], payload: { ...payload, attachments } });
    await dispatch();
    const mail = await simpleParser(smtp.messages[0]?.raw ?? "");
    assert.deepEqual([mail.attachments[0]?.filename, mail.attachments[0]?.size], ["empty.txt", 0]);
  });

  it("whose attachment stands on a damaged page is an error, and its neighbour goes out", async () => {
    const { enqueue, dispatch, record, path, store, smtp } = await start();
    const payload = { id: "spoiled", from: "sender@example.com", to: "recipient@example.org", subject: "S" };
    const content = Buffer.alloc(200_000, "the attachment ");
    const attachments = [{ filename: "a.bin", size: content.length }];
    await enqueue({ id: "spoiled", contents: [content], payload: { ...payload, attachments } });
    const neighbour = await enqueue();
    await store.housekeeping.checkpoint();
    await spoilPages(path, content.subarray(0, 15));
    await dispatch();
    assert.match((await record("spoiled")).error ?? "", /the database file is damaged/);
    assert.equal((await record(neighbour)).status, "sent");
    assert.equal(smtp.messages.length, 1);
  });

  it("that cannot be composed is an error, and its neighbours go out", async () => {
    const { enqueue, dispatch, record, smtp, registry } = await start();
    const bad = await enqueue({
      id: "bad",
      payload: {
        id: "bad",
        from: "sender@example.com",
        to: "recipient@example.org",
        subject: "S",
        attachments: [{ filename: "x.pdf", url: "http://127.0.0.1/x.pdf" }],
      },
    });
    const good = await enqueue();
    await dispatch();
    const row = await record(bad);
    assert.equal(row.status, "error");
    assert.match(row.error ?? "", /^Attachment fetch failed: x\.pdf: /);
    assert.equal((await record(good)).status, "sent");
    assert.equal(smtp.messages.length, 1);
    assert.match(await registry.metrics(), /asyncmail_attachments_total{source="url",outcome="failed"} 1/);
  });

  it("of the configured account is sent with the password that only the configuration has", async () => {
    const smtp = await startSmtpServer({ auth: "required" });
    const defaultAccount = aCheckedAccount({ id: "default", port: smtp.port, user: "me", password: "secret" });
    const bench = await startBench({ defaultAccount });
    closing.push(smtp.close, bench.close);
    await bench.store.accounts.configureDefault(defaultAccount, bench.clock.now());
    await bench.enqueue({ accountId: null });
    await bench.dispatch();
    assert.deepEqual(smtp.logins[0], { method: "PLAIN", user: "me", password: "secret" });
    assert.equal(smtp.messages.length, 1);
  });
});

describe("what the server says", () => {
  it("of one recipient is that recipient's: the others are sent, and a retry asks only for those who wait", async () => {
    const { enqueue, dispatch, record, smtp, clock } = await start();
    smtp.script = {
      onRcpt: (to) => {
        if (to.startsWith("gone")) return { code: 550, text: "5.1.1 No such user" };
        return to.startsWith("full") ? { code: 452, text: "4.2.2 Full" } : undefined;
      },
    };
    const id = await enqueue({ recipients: ["a@example.org", "gone@example.org", "full@example.org"] });
    await dispatch();
    const first = await record(id);
    assert.equal(first.status, "deferred");
    assert.deepEqual(
      first.recipients.map((one) => one.outcome),
      ["accepted", "refused", "waiting"],
    );

    smtp.script = {};
    await dispatch();
    assert.equal(smtp.messages.length, 1, "not before its time");
    await clock.advance(60_000);
    await dispatch();
    assert.deepEqual(smtp.messages[1]?.to, ["full@example.org"]);
    const second = await record(id);
    assert.equal(second.status, "sent");
    assert.equal(second.attempts, 2);
    const [one, two] = await Promise.all(smtp.messages.map((message) => simpleParser(message.raw)));
    assert.equal(two?.messageId, one?.messageId);
    assert.equal(two?.date?.getTime(), one?.date?.getTime());
  });

  it("about the account holds it, tells once, and another account's mail goes on", async () => {
    const { enqueue, dispatch, record, account, events, smtp, clock } = await start();
    const broken = await startSmtpServer({ script: { onAuth: () => ({ code: 535, text: "5.7.8 No" }) } });
    closing.push(broken.close);
    await account({ id: "broken", port: broken.port, user: "me", password: "wrong" });
    const held = [await enqueue({ accountId: "broken" }), await enqueue({ accountId: "broken" })];
    const fine = await enqueue();
    await dispatch();
    assert.equal((await record(fine)).status, "sent");
    assert.equal(smtp.messages.length, 1);
    assert.equal(events.filter((one) => one.event === "accountHeld").length, 1);
    for (const id of held) assert.equal((await record(id)).attempts, 0);

    broken.script = {};
    await clock.advance(6_000);
    await dispatch();
    await clock.advance(1_000);
    await dispatch();
    assert.equal(broken.messages.length, 2);
    assert.equal(events.filter((one) => one.event === "accountReleased").length, 1);
  });

  it("never, after the final dot: sent again with the same Message-ID, or given up as the message wants", async () => {
    const { enqueue, dispatch, record, smtp, clock } = await start({ smtp: { script: { onData: () => "cut" } } });
    const again = await enqueue();
    const once = await enqueue({ onAmbiguous: "fail" });
    await dispatch();
    assert.equal((await record(again)).status, "deferred");
    const given = await record(once);
    assert.equal(given.status, "error");
    assert.match(given.error ?? "", /may have been delivered/);
    smtp.script = {};
    await clock.advance(60_000);
    await dispatch();
    assert.equal((await record(again)).status, "sent");
    assert.equal(smtp.messages.length, 1);
  });
});

describe("a claim that was lost while its message was being sent", () => {
  it("writes nothing, and says so", async () => {
    const [reached, answer] = [gate(), gate()];
    const bench = await start({
      smtp: {
        script: {
          onData: async () => {
            reached.open();
            await answer.opened;
            return undefined;
          },
        },
      },
    });
    const id = await bench.enqueue();
    await bench.pass();
    await reached.opened;
    await bench.strikeOff();
    answer.open();
    await bench.landed();
    assert.notEqual((await bench.record(id)).status, "sent");
    assert.deepEqual(bench.events.at(-1), { event: "leaseLost", fields: { id, account: "account-1" } });
  });

  it("is not sent to its end under the process's new number", async () => {
    const [reached, answer] = [gate(), gate()];
    const onRcpt = async () => {
      reached.open();
      await answer.opened;
      return undefined;
    };
    const bench = await start({ smtp: { script: { onRcpt } } });
    await bench.enqueue();
    await bench.pass();
    await reached.opened;
    await bench.strikeOff(false);
    answer.open();
    await bench.landed();
    assert.equal(bench.smtp.messages.length, 0);
  });
});

describe("a dispatcher", () => {
  it("that may no longer stand claims nothing, and cuts what it is sending before the final dot", async () => {
    let stands = true;
    const bench = await start({ stands: () => stands });
    const id = await bench.enqueue();
    bench.smtp.script = {
      onRcpt: () => {
        stands = false;
        return undefined;
      },
    };
    await bench.dispatch();
    assert.equal(bench.smtp.messages.length, 0);
    const row = await bench.record(id);
    assert.deepEqual([row.status, row.attempts], ["pending", 0]);
    assert.ok((await bench.pass()).waitMs > 0);
    assert.equal(bench.flight.size(), 0);
  });

  it("whose outcomes cannot be written keeps trying and claims nothing meanwhile", async () => {
    let refusals = 3;
    const bench = await start({
      settle:
        (settle) =>
        async (...all) => {
          if (refusals-- > 0) throw new StorageBusy("locked");
          return settle(...all);
        },
    });
    const first = await bench.enqueue();
    await bench.pass();
    await eventually(() => bench.settler.stuck(), 5_000, "the settler's trouble");
    await bench.enqueue();
    await bench.pass();
    assert.equal(bench.flight.size(), 1, "the second is not claimed");
    await bench.clock.advance(10_000);
    await bench.landed();
    assert.equal((await bench.record(first)).status, "sent");
    assert.equal(bench.settler.stuck(), false);
    await bench.dispatch();
    assert.equal(bench.smtp.messages.length, 2);
  });

  it("ends a message whose outcome cannot be written for a bug's reason, rather than leave it claimed", async () => {
    let bugs = 1;
    const bench = await start({
      settle:
        (settle) =>
        async (...all) => {
          if (bugs-- > 0) throw new TypeError("a bug");
          return settle(...all);
        },
    });
    const id = await bench.enqueue();
    await bench.dispatch();
    const row = await bench.record(id);
    assert.equal(row.error, "internal error, it may have been sent: TypeError: a bug");
    assert.deepEqual(
      row.recipients.map((one) => one.outcome),
      ["refused"],
    );
  });

  it("holds no more messages than it has slots, nor more bytes than it may", async () => {
    const answer = gate();
    const held = { smtp: { script: { onData: async () => void (await answer.opened) } } };
    const slots = await start({ capacity: 3, ...held });
    const bytes = await start({ maxBytesInFlight: 1_000, ...held });
    for (const bench of [slots, bytes]) {
      for (let n = 0; n < 8; n++) {
        const id = `account-${n % 4}`;
        await bench.account({ id, port: bench.smtp.port });
        await bench.enqueue({ bytes: 400, accountId: id });
      }
      await bench.pass();
      await bench.pass();
    }
    assert.equal(slots.flight.size(), 3);
    assert.equal(bytes.flight.size(), 2);
    assert.equal(bytes.flight.bytes(), 800);
    answer.open();
    for (const bench of [slots, bytes]) {
      await eventually(async () => {
        await bench.dispatch();
        return bench.smtp.messages.length === 8;
      });
    }
  });

  it("leaves slots to others though one account holds more than there are: it was fast, and its server hangs", async () => {
    const answer = gate();
    const bench = await start({ capacity: 10, smtp: { script: { onData: async () => void (await answer.opened) } } });
    const other = await startSmtpServer();
    await bench.account({ id: "fast", port: bench.smtp.port, maxConnections: 2 });
    await bench.account({ id: "other", port: other.port });
    // At a pace that it does not have any more, since nothing leaves.
    const { flight } = bench.dispatcher;
    bench.dispatcher.flight = { ...flight, ahead: () => new Map([1, 2, 3].map((key) => [key, 50])) };
    for (let n = 0; n < 60; n++) await bench.enqueue({ accountId: "fast" });
    await bench.pass();
    assert.equal(flight.size(), 54);
    bench.dispatcher.flight = flight;
    await bench.enqueue({ accountId: "other" });
    await bench.pass();
    await other.received(1);
    await eventually(() => flight.size() === 54, 5000, "the end of that, and none more of the other");
    answer.open();
    await bench.landed();
    await other.close();
  });

  it("sends nothing while the service is suspended", async () => {
    const bench = await start();
    await bench.enqueue();
    await bench.store.service.setActive(false);
    await bench.dispatch();
    assert.equal(bench.smtp.messages.length, 0);
    await bench.store.service.setActive(true);
    await bench.dispatch();
    assert.equal(bench.smtp.messages.length, 1);
  });

  it("gives the connections it does not need to others", async () => {
    const bench = await start();
    await bench.account({ id: "narrow", port: bench.smtp.port, maxConnections: 1 });
    const other = await bench.again();
    closing.push(() => other.close());
    const self = { kind: "dispatcher", pid: 2, host: "there", version: "0" } as const;
    const process = await other.processes.register(self, bench.clock.now());
    const claims = async () => {
      const request = { process, slots: 5, capacity: 5, bytes: 1e6, held: new Map(), maxConnectionsPerAccount: 5 };
      const answer = await other.queue.claimDue(request, bench.clock.now());
      return answer.kind === "claimed" ? answer.claims.length : 0;
    };
    await bench.enqueue({ accountId: "narrow" });
    await bench.dispatch();
    await bench.enqueue({ accountId: "narrow" });
    assert.equal(await claims(), 0, "the only connection is open here");
    bench.smtp.cutConnections();
    await eventually(
      () => [1, 2, 3].every((key) => bench.relay.needed(key, 0, false) === 0),
      5000,
      "the end of the connection",
    );
    await bench.store.service.setActive(false);
    await bench.clock.advance(2_000);
    await bench.pass();
    await bench.store.service.setActive(true);
    assert.equal(await claims(), 1);
  });

  it("is told how long it may sleep", async () => {
    const bench = await start();
    assert.equal((await bench.pass()).waitMs, 500, "nothing waits");
    await bench.enqueue({ deferredMs: START_MS + 200 });
    assert.equal((await bench.pass()).waitMs, 200);
    await bench.clock.advance(200);
    await bench.dispatch();
    assert.equal(bench.smtp.messages.length, 1);
  });
});

describe("a dispatcher that leaves", () => {
  it("without having written an outcome leaves its row to those who strike it off", async () => {
    const bench = await start({
      giveUp: AbortSignal.abort(),
      settle: () => () => Promise.reject(new StorageBusy("locked")),
    });
    await bench.enqueue();
    await bench.pass();
    await bench.smtp.received(1);
    const presence = { leave: () => bench.store.processes.leave(bench.process(), bench.clock.now()) };
    await leave({ ...bench, presence, deadline: AbortSignal.abort() });
    assert.equal((await bench.store.processes.list()).length, 1);
    assert.equal((await bench.store.accounts.get("account-1", bench.clock.now()))?.inFlight, 1);
  });

  it("with all outcomes written goes for good", async () => {
    const bench = await start();
    await bench.enqueue();
    await bench.pass();
    const presence = { leave: () => bench.store.processes.leave(bench.process(), bench.clock.now()) };
    await leave({ ...bench, presence, deadline: new AbortController().signal });
    assert.deepEqual(await bench.store.processes.list(), []);
  });
});

/** Writes zeros over the first pages that are full of `text`, as a bad disk might: the chain of an attachment breaks. */
async function spoilPages(path: string, text: Buffer): Promise<void> {
  const file = await open(path, "r+");
  const pages = await file.readFile();
  const size = pages.readUInt16BE(16);
  for (let page = 1; page * size < pages.length; page += 1) {
    const inside = pages.subarray(page * size, (page + 1) * size);
    if (inside.indexOf(text, 100) !== -1) await file.write(Buffer.alloc(size), 0, size, page * size);
  }
  await file.close();
}
