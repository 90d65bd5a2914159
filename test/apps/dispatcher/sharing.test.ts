import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { StorageBusy } from "@async-mail/db/store";
import { eventually, gate } from "../../support/eventually.ts";
import { type SmtpServer, startSmtpServer } from "../../support/smtp-server.ts";
import { type Bench, type BenchOptions, startBench } from "./dispatch-bench.ts";

const closing: (() => Promise<void>)[] = [];
after(async () => {
  await Promise.all(closing.map((close) => close()));
});

type Shared = Bench & { smtp: SmtpServer; join(): Promise<void>; claimedElsewhere(): Promise<number> };

/** A dispatcher with one account, and another dispatcher that would like to send for it too. */
async function start(options: BenchOptions & { maxConnections?: number } = {}): Promise<Shared> {
  const { maxConnections = 5, ...rest } = options;
  const smtp = await startSmtpServer();
  const bench = await startBench(rest);
  const other = await bench.again();
  closing.push(smtp.close, () => other.close(), bench.close);
  await bench.account({ port: smtp.port, maxConnections });
  let process = 0;
  return {
    ...bench,
    smtp,
    async join() {
      const self = { kind: "dispatcher", pid: 2, host: "there", version: "0" } as const;
      process = await other.processes.register(self, bench.clock.now());
    },
    async claimedElsewhere() {
      const request = { process, slots: 5, capacity: 5, bytes: 1e6, held: new Map(), maxConnectionsPerAccount: 5 };
      const answer = await other.queue.claimDue(request, bench.clock.now());
      return answer.kind === "claimed" ? answer.claims.length : 0;
    },
  };
}

describe("reserved connections", () => {
  it("above the share of a busy account go to the dispatchers that have joined", async () => {
    const [first, others] = [gate(), gate()];
    const bench = await start();
    bench.smtp.script = {
      onData: async ({ session }) => {
        if (session.connection === 0 && session.transaction === 0) await first.opened;
        else await others.opened;
        return undefined;
      },
    };
    for (let n = 0; n < 5; n++) await bench.enqueue();
    await bench.pass();
    await eventually(() => bench.smtp.connections.open === 5);
    await bench.join();
    for (let n = 0; n < 20; n++) await bench.enqueue();
    assert.equal(await bench.claimedElsewhere(), 0, "all five are in use here");

    others.open();
    await eventually(() => bench.flight.size() === 1);
    await bench.pass(); // the share is three of five from here on
    await eventually(() => bench.flight.size() === 1);
    await eventually(() => bench.smtp.connections.open <= 3, 5000, "the end of two connections");
    await bench.pass();
    assert.ok(bench.flight.size() > 0, "the account is busy all the time");
    assert.ok((await bench.claimedElsewhere()) > 0);
    first.open();
    await bench.landed();
  });

  it("for a message that could not be composed are given back", async () => {
    const bench = await start({ maxConnections: 1 });
    const payload = {
      id: "bad",
      from: "sender@example.com",
      to: "recipient@example.org",
      subject: "S",
      attachments: [{ filename: "x.pdf", url: "http://127.0.0.1/x.pdf" }],
    };
    await bench.enqueue({ id: "bad", payload });
    await bench.dispatch();
    assert.equal((await bench.record("bad")).status, "error");
    await bench.join();
    await bench.pass();
    await bench.enqueue();
    assert.equal(await bench.claimedElsewhere(), 1);
  });

  it("are given back by the next pass, when the file was busy", async () => {
    let refusals = 1;
    const bench = await start({
      maxConnections: 1,
      queue: ({ giveBackConnections }) => ({
        async giveBackConnections(...all) {
          if (refusals-- > 0) throw new StorageBusy("locked");
          return giveBackConnections(...all);
        },
      }),
    });
    await bench.enqueue();
    await bench.dispatch();
    await bench.join();
    bench.smtp.cutConnections();
    await eventually(
      () => [1, 2, 3].every((key) => bench.relay.needed(key, 0, false) === 0),
      5000,
      "the end of the connection",
    );
    await bench.clock.advance(2_000);
    await assert.rejects(bench.pass(), StorageBusy);
    await bench.pass();
    await bench.enqueue();
    assert.equal(await bench.claimedElsewhere(), 1);
  });
});

describe("mail that was claimed ahead", () => {
  for (const [what, begin, end] of [
    [
      "while the service is suspended",
      (bench: Bench) => bench.store.service.setActive(false),
      (bench: Bench) => bench.store.service.setActive(true),
    ],
    [
      "while its account is held",
      (bench: Bench) => bench.store.accounts.hold("account-1", "by hand", null, bench.clock.now()),
      (bench: Bench) => bench.store.accounts.release("account-1", bench.clock.now()),
    ],
  ] as const) {
    it(`stays ${what}`, async () => {
      const [reached, answer] = [gate(), gate()];
      const bench = await start({ maxConnections: 1 });
      bench.smtp.script = {
        onData: async () => {
          reached.open();
          await answer.opened;
          return undefined;
        },
      };
      const ids = [await bench.enqueue(), await bench.enqueue()];
      await bench.pass();
      await reached.opened;
      await eventually(() => bench.relay.waiting().length === 1, 5000, "the message that waits");
      assert.equal(bench.flight.size(), 2);
      await bench.pass();
      await begin(bench);
      await bench.clock.advance(100);
      await bench.pass();
      await eventually(() => bench.flight.size() === 1, 5000, "the waiting message given back");
      answer.open();
      await bench.landed();
      await bench.dispatch();
      assert.equal(bench.smtp.messages.length, 1);

      await end(bench);
      await bench.dispatch();
      assert.equal(bench.smtp.messages.length, 2);
      for (const id of ids) assert.equal((await bench.record(id)).attempts, 1);
    });
  }
});

describe("a message to be sent alone", () => {
  it("is waited for until nothing is in flight", async () => {
    let claims = 0;
    const answer = gate();
    const bench = await start({
      queue: ({ claimDue }) => ({
        claimDue(...all) {
          claims += 1;
          return claimDue(...all);
        },
      }),
    });
    bench.smtp.script = { onData: async () => void (await answer.opened) };
    await bench.account({ id: "account-2", port: bench.smtp.port });
    await bench.enqueue({ accountId: "account-2" });
    await bench.pass();
    const alone = await bench.enqueue();
    for (let lost = 0; lost < 3; lost++) {
      await bench.join();
      assert.equal(await bench.claimedElsewhere(), 1);
      const row = (await bench.store.processes.list()).at(-1);
      await bench.store.processes.strikeOff(row?.process ?? 0, row?.beat ?? 0, bench.clock.now());
    }
    claims = 0;
    await bench.pass();
    await bench.enqueue({ accountId: "account-2" });
    await bench.clock.advance(1_000);
    await bench.pass();
    assert.equal(claims, 1, "no claim that would put it off");
    answer.open();
    await bench.landed();
    await bench.dispatch();
    assert.equal((await bench.record(alone)).status, "sent");
  });
});
