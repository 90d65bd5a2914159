import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { Claim, ClaimRequest } from "@async-mail/db/store";
import type { Account } from "@async-mail/domain/account";
import type { Priority } from "@async-mail/domain/message";
import type { Outcome } from "@async-mail/domain/outcome";
import { type TemporaryStore, temporaryStore } from "../../support/database.ts";
import { aCheckedAccount, aCheckedMessage } from "../../support/messages.ts";

const SENT: Outcome = { kind: "sent", code: 250, response: "ok", recipients: [], mailFromSent: true };

let file: TemporaryStore;
let dispatcher: number;

beforeEach(async () => {
  file = await temporaryStore();
  dispatcher = await aDispatcher();
});
afterEach(() => file.close());

function aDispatcher(): Promise<number> {
  return file.store.processes.register({ kind: "dispatcher", pid: 1, host: "h", version: "1" }, file.clock.now());
}

async function anAccount(overrides: Partial<Account>) {
  await file.store.accounts.put(
    aCheckedAccount({ maxConnections: 50, ...overrides }),
    { keepPassword: false },
    file.clock.now(),
  );
}

async function enqueue(
  accountId: string,
  count: number,
  overrides: { priority?: Priority; deferredMs?: number; bytes?: number } = {},
) {
  const messages = Array.from({ length: count }, () => aCheckedMessage({ accountId, ...overrides }));
  const answers = await file.store.messages.enqueue(messages, file.clock.now());
  assert.deepEqual(new Set(answers), new Set(["queued"]));
  return messages.map((message) => message.id);
}

async function claim(overrides: Partial<ClaimRequest> = {}): Promise<Claim[]> {
  const request = {
    process: dispatcher,
    slots: 10,
    capacity: 200,
    bytes: 1e9,
    held: new Map(),
    maxConnectionsPerAccount: 5,
    ...overrides,
  };
  const answer = await file.store.queue.claimDue(request, file.clock.now());
  assert.equal(answer.kind, "claimed");
  return answer.kind === "claimed" ? answer.claims : [];
}

async function settleAll(claims: Claim[], outcome = SENT) {
  for (const one of claims) assert.ok((await file.store.queue.settle(one, outcome, file.clock.now())).written);
}

const idsOf = (claims: Claim[]) => claims.map((one) => one.id);
const accountsOf = (claims: Claim[]) => claims.map((one) => one.account.id).join("");

describe("order within an account", () => {
  it("is by priority, then by the time it became due", async () => {
    await anAccount({ id: "a" });
    const [low] = await enqueue("a", 1, { priority: 3 });
    await file.clock.advance(10);
    const [older] = await enqueue("a", 1, { priority: 1 });
    await file.clock.advance(10);
    const [newer] = await enqueue("a", 1, { priority: 1 });
    const [immediate] = await enqueue("a", 1, { priority: 0 });
    assert.deepEqual(idsOf(await claim()), [immediate, older, newer, low]);
  });

  it("gives every tenth place to the one due longest, whatever its priority", async () => {
    await anAccount({ id: "a" });
    const [bulk] = await enqueue("a", 1, { priority: 3 });
    await file.clock.advance(10);
    const urgent = await enqueue("a", 30, { priority: 1 });
    const claims = idsOf(await claim({ slots: 12 }));
    assert.deepEqual(claims, [...urgent.slice(0, 9), bulk, ...urgent.slice(9, 11)]);
  });

  it("leaves what is scheduled until its time, by the steady clock", async () => {
    await anAccount({ id: "a" });
    const [later] = await enqueue("a", 1, { deferredMs: file.clock.now().wallMs + 5_000 });
    assert.equal(await file.store.queue.ready(file.clock.now()), false);
    assert.equal(await file.store.queue.nextReadyMs(), file.clock.now().steadyMs + 5_000);
    file.clock.jumpWall(3_600_000);
    assert.deepEqual(await claim(), []);
    await file.clock.advance(5_000);
    assert.ok(await file.store.queue.ready(file.clock.now()));
    assert.deepEqual(idsOf(await claim()), [later]);
  });

  it("ends what is not worth sending any more", async () => {
    await anAccount({ id: "a" });
    await file.store.messages.enqueue(
      [aCheckedMessage({ id: "late", accountId: "a", expiresMs: file.clock.now().wallMs + 10 })],
      file.clock.now(),
    );
    await file.clock.advance(10);
    assert.deepEqual(await claim(), []);
    assert.equal((await file.store.messages.get("late", file.clock.now()))?.error, "expired");
  });
});

describe("turns between accounts", () => {
  it("are one message each", async () => {
    for (const id of ["a", "b", "c"]) await anAccount({ id });
    await enqueue("a", 20);
    await file.clock.advance(1);
    await enqueue("b", 20);
    await file.clock.advance(1);
    await enqueue("c", 2);
    assert.equal(accountsOf(await claim({ slots: 9 })), "abcabcaba");
  });

  it("go on where the last claim stopped", async () => {
    for (const id of ["a", "b", "c"]) await anAccount({ id });
    for (const id of ["a", "b", "c"]) {
      await enqueue(id, 5);
      await file.clock.advance(1);
    }
    let order = "";
    for (let i = 0; i < 6; i++) {
      order += accountsOf(await claim({ slots: 1 }));
      await file.clock.advance(1);
    }
    assert.equal(order, "abcabc");
  });

  it("begin with an account whose best message is immediate, at most every second slot", async () => {
    for (const id of ["a", "b"]) await anAccount({ id });
    await enqueue("a", 20);
    await file.clock.advance(10);
    await enqueue("b", 20, { priority: 0 });
    const order = accountsOf(await claim({ slots: 8 }));
    assert.equal(order[0], "b");
    assert.ok(order.split("").filter((id) => id === "a").length >= 2, order);
  });

  it("leave half of the slots to others while they wait", async () => {
    for (const id of ["a", "b"]) await anAccount({ id });
    await enqueue("a", 100);
    const first = await claim({ slots: 100, capacity: 100 });
    assert.equal(first.length, 90, "a tenth is kept for newcomers");
    await settleAll(first);
    await enqueue("a", 100);
    await enqueue("b", 10);
    const both = accountsOf(await claim({ slots: 100, capacity: 100 }));
    assert.equal(both.split("a").length - 1, 50);
    assert.equal(both.split("b").length - 1, 10);
  });

  it("give the one due longest the urgency of the one whose place it has", async () => {
    await anAccount({ id: "a" });
    const [old] = await enqueue("a", 1, { priority: 3 });
    await file.clock.advance(10);
    await enqueue("a", 20, { priority: 1 });
    const claims = await claim({ slots: 10 });
    assert.deepEqual(
      claims.map(({ id, urgency }) => [id === old, urgency]),
      Array.from({ length: 10 }, (_, i) => [i === 9, 1]),
    );
    assert.equal(claims[9]?.priority, 3);
  });

  it("are beyond two for each connection where an account's messages leave fast, and take nothing from others", async () => {
    for (const id of ["a", "b"]) await anAccount({ id, maxConnections: 5 });
    await enqueue("a", 100);
    await enqueue("b", 100);
    const two = await claim({ slots: 2 });
    const keyOf = (id: string) => two.find(({ account }) => account.id === id)!.accountKey;
    const [aKey, bKey] = [keyOf("a"), keyOf("b")];
    const ahead = new Map([[aKey, 30]]);
    const held = new Map([
      [aKey, 1],
      [bKey, 1],
    ]);
    const many = accountsOf(await claim({ slots: 100, capacity: 20, held, ahead }));
    assert.equal(many.split("a").length - 1, 9 + 30 - 1, "half of what the other one leaves, and what goes ahead");
    assert.equal(many.split("b").length - 1, 10 - 1, "half of all, as if the other held nothing");
  });

  it("are never beyond a hundred for each connection, over all dispatchers, and a hundred that wait for files", async () => {
    await anAccount({ id: "a", maxConnections: 1 });
    await enqueue("a", 300);
    const ahead = new Map([[1, 1000]]);
    assert.equal((await claim({ slots: 250, capacity: 1000, ahead })).length, 200);
    assert.equal((await claim({ slots: 250, capacity: 1000, ahead, process: await aDispatcher() })).length, 0);
  });

  it("take no more than batch_size of one account at once", async () => {
    await anAccount({ id: "a", batchSize: 3 });
    await enqueue("a", 10);
    assert.equal((await claim()).length, 3);
  });

  it("stop at the bytes that may be in flight, but one message always fits an empty dispatcher", async () => {
    await anAccount({ id: "a" });
    await enqueue("a", 3, { bytes: 600 });
    assert.equal((await claim({ bytes: 1000 })).length, 1);
    assert.equal((await claim({ bytes: 100, held: new Map([[1, 1]]) })).length, 0);
    assert.equal((await claim({ bytes: 100 })).length, 1);
  });
});

describe("limits", () => {
  it("count what is in flight and what ended within the window", async () => {
    await anAccount({ id: "a", limits: { perMinute: 5, perHour: null, perDay: null, recipientsPerDay: null } });
    await enqueue("a", 20);
    const first = await claim();
    assert.equal(first.length, 5);
    assert.equal((await claim()).length, 0);
    await file.clock.advance(10_000);
    await settleAll(first.slice(0, 2));
    await file.clock.advance(10_000);
    await settleAll(first.slice(2));
    assert.equal(await file.store.queue.ready(file.clock.now()), false);
    await file.clock.advance(49_999);
    assert.equal((await claim()).length, 0, "60 s after the first two ended, less 1 ms");
    await file.clock.advance(1);
    assert.ok(await file.store.queue.ready(file.clock.now()));
    assert.equal((await claim()).length, 2);
  });

  it("say in the account's and the messages' records why and until when", async () => {
    await anAccount({ id: "a", limits: { perMinute: 1, perHour: null, perDay: null, recipientsPerDay: null } });
    const ids = await enqueue("a", 2);
    await settleAll(await claim());
    const untilMs = file.clock.now().wallMs + 60_000;
    const account = (await file.store.accounts.get("a", file.clock.now()))!;
    assert.deepEqual(
      [account.state, account.reason, account.untilMs, account.left.perMinute],
      ["limited", "1 messages a minute", untilMs, 0],
    );
    const record = await file.store.messages.get(ids[1]!, file.clock.now());
    assert.deepEqual(record?.waiting, { reason: "account limited: 1 messages a minute", untilMs });
  });

  it("do not count what was given back before MAIL FROM, and count a lost claim from when it was taken back", async () => {
    await anAccount({ id: "a", limits: { perMinute: 1, perHour: null, perDay: null, recipientsPerDay: null } });
    await enqueue("a", 2);
    await settleAll(await claim(), { kind: "given_back", reason: "stopping", mailFromSent: false });
    assert.equal((await claim()).length, 1);
    await file.clock.advance(30_000);
    assert.ok(await file.store.processes.strikeOff(dispatcher, 0, file.clock.now()));
    dispatcher = await aDispatcher();
    await file.clock.advance(59_999);
    assert.equal((await claim()).length, 0);
    await file.clock.advance(1);
    assert.equal((await claim()).length, 1);
  });

  it("with reject, end what is due meanwhile", async () => {
    await anAccount({
      id: "a",
      limitBehavior: "reject",
      limits: { perMinute: 2, perHour: null, perDay: null, recipientsPerDay: null },
    });
    const ids = await enqueue("a", 5);
    await settleAll(await claim());
    assert.ok(await file.store.queue.ready(file.clock.now()));
    assert.equal((await claim()).length, 0);
    for (const id of ids.slice(2)) {
      assert.equal((await file.store.messages.get(id, file.clock.now()))?.error, "rate limit exceeded");
    }
    const [counts] = (await file.store.service.counts(file.clock.now())).accounts;
    assert.deepEqual([counts?.sent, counts?.errors, counts?.pending], [2, 3, 0]);
  });

  it("of recipients count each of a message's", async () => {
    await anAccount({ id: "a", limits: { perMinute: null, perHour: null, perDay: null, recipientsPerDay: 5 } });
    const three = ["x@example.org", "y@example.org", "z@example.org"];
    const messages = ["m1", "m2"].map((id) => aCheckedMessage({ id, accountId: "a", recipients: three }));
    const tooMany = aCheckedMessage({ id: "m3", accountId: "a", recipients: [...three, ...three] });
    await file.store.messages.enqueue([...messages, tooMany], file.clock.now());
    const first = await claim();
    assert.deepEqual(idsOf(first), ["m1"]);
    await settleAll(first);
    assert.equal((await claim()).length, 0);
    await file.clock.advance(86_400_000);
    assert.deepEqual(idsOf(await claim()), ["m2"]);
    assert.match(
      (await file.store.messages.get("m3", file.clock.now()))?.error ?? "",
      /^rate limit exceeded: 6 recipients/,
    );
  });

  it("of recipients, with reject, end the message that finds no room and go on", async () => {
    const limits = { perMinute: null, perHour: null, perDay: null, recipientsPerDay: 5 };
    await anAccount({ id: "a", limitBehavior: "reject", limits });
    const to = (n: number) => Array.from({ length: n }, (_, i) => `r${i}@example.org`);
    const messages = [3, 4, 1].map((n, i) => aCheckedMessage({ id: `m${i}`, accountId: "a", recipients: to(n) }));
    await file.store.messages.enqueue(messages, file.clock.now());
    assert.deepEqual(idsOf(await claim()), ["m0", "m2"]);
    assert.match((await file.store.messages.get("m1", file.clock.now()))?.error ?? "", /^rate limit exceeded/);
  });

  it("hold over an account that is deleted and made again", async () => {
    const limits = { perMinute: 1, perHour: null, perDay: null, recipientsPerDay: null };
    await anAccount({ id: "a", limits });
    await enqueue("a", 1);
    await settleAll(await claim());
    await file.store.accounts.remove("a", file.clock.now());
    await anAccount({ id: "a", limits });
    await enqueue("a", 1);
    assert.equal((await claim()).length, 0);
  });
});

describe("connections of an account", () => {
  it("are shared evenly between dispatchers and never more than allowed", async () => {
    await anAccount({ id: "a", maxConnections: 5 });
    await enqueue("a", 100);
    const other = await aDispatcher();
    const mine = await claim({ slots: 50 });
    const theirs = await claim({ process: other, slots: 50 });
    assert.equal(mine[0]?.connectionShare, 3);
    assert.equal(theirs[0]?.connectionShare, 2);
    assert.ok(mine.length <= 6 && theirs.length <= 4);
    const third = await aDispatcher();
    assert.equal((await claim({ process: third, slots: 50 })).length, 0, "all five are reserved");
    await settleAll(mine);
    await file.store.queue.giveBackConnections(dispatcher, mine[0]!.accountKey, 0, file.clock.now());
    assert.equal((await claim({ process: third, slots: 50 }))[0]?.connectionShare, 2);
  });

  it("are free again when their dispatcher is struck off", async () => {
    await anAccount({ id: "a", maxConnections: 1 });
    await enqueue("a", 10);
    await claim();
    const other = await aDispatcher();
    assert.equal((await claim({ process: other })).length, 0);
    await file.store.processes.strikeOff(dispatcher, 0, file.clock.now());
    assert.ok((await claim({ process: other })).length > 0);
  });
});

describe("a claim", () => {
  it("is refused to a process that was struck off", async () => {
    await file.store.processes.strikeOff(dispatcher, 0, file.clock.now());
    const request = {
      process: dispatcher,
      slots: 1,
      capacity: 1,
      bytes: 1,
      held: new Map(),
      maxConnectionsPerAccount: 1,
    };
    assert.equal((await file.store.queue.claimDue(request, file.clock.now())).kind, "lost");
  });

  it("finds nothing while the service is suspended", async () => {
    await anAccount({ id: "a" });
    const [id] = await enqueue("a", 1);
    await file.store.service.setActive(false);
    const request = {
      process: dispatcher,
      slots: 1,
      capacity: 1,
      bytes: 1e6,
      held: new Map(),
      maxConnectionsPerAccount: 1,
    };
    assert.equal((await file.store.queue.claimDue(request, file.clock.now())).kind, "suspended");
    assert.deepEqual((await file.store.messages.get(id!, file.clock.now()))?.waiting, {
      reason: "suspended",
      untilMs: null,
    });
  });

  it("that finds nothing writes nothing, so that it wakes nobody", async () => {
    await anAccount({ id: "a", maxConnections: 1 });
    await enqueue("a", 3);
    assert.equal((await claim()).length, 2, "one for its connection, one ahead");
    const other = await aDispatcher();
    const watcher = await file.again();
    watcher.changed();
    assert.deepEqual(await claim({ held: new Map([[1, 2]]) }), []);
    assert.deepEqual(await claim({ process: other }), []);
    assert.equal(watcher.changed(), false);
    await watcher.close();
  });

  it("leave room for more while messages wait for their attachments, which take half of the slots at most", async () => {
    await anAccount({ id: "a", maxConnections: 1 });
    await enqueue("a", 300);
    await claim();
    const key = 1;
    const held = (all: number, fetching: number) => ({
      held: new Map([[key, all]]),
      fetching: new Map([[key, fetching]]),
      slots: 50,
      capacity: 20,
    });
    assert.equal((await claim(held(2, 0))).length, 0, "both are ready to go");
    assert.equal((await claim(held(2, 2))).length, 2);
    assert.equal((await claim(held(4, 1))).length, 0);
    assert.equal((await claim(held(12, 12))).length, 0, "ten of twenty slots, and two that are ready");
    assert.equal((await claim(held(12, 11))).length, 0);
    assert.equal((await claim(held(11, 11))).length, 1);
  });
});

describe("a held account", () => {
  const fault: Outcome = {
    kind: "held",
    reason: "535 no",
    code: 535,
    response: "no",
    mailFromSent: false,
    throttled: false,
    end: null,
  };

  it("gives nothing until its time, then one probe, each a different message", async () => {
    await anAccount({ id: "a" });
    await enqueue("a", 5);
    const first = await claim({ slots: 2 });
    const held = await file.store.queue.settle(first[0]!, fault, file.clock.now());
    assert.equal(held.held?.reason, "535 no");
    const again = await file.store.queue.settle(first[1]!, fault, file.clock.now());
    assert.equal(again.held, null, "held once, however many attempts met the fault");
    assert.equal((await claim()).length, 0);

    await file.clock.advance(held.held!.untilMs - file.clock.now().steadyMs);
    const probe = await claim();
    assert.equal(probe.length, 1);
    assert.ok(!idsOf(first).includes(probe[0]!.id), "another message than those that failed");
    const longer = await file.store.queue.settle(probe[0]!, fault, file.clock.now());
    assert.ok(longer.held!.untilMs - file.clock.now().steadyMs > 0);
    const record = (await file.store.accounts.get("a", file.clock.now()))!;
    assert.deepEqual([record.state, record.reason], ["held", "535 no"]);

    await file.clock.advance(longer.held!.untilMs - file.clock.now().steadyMs);
    const [second] = await claim();
    const settled = await file.store.queue.settle(second!, SENT, file.clock.now());
    assert.equal(settled.released, true);
    await file.clock.advance(1);
    assert.equal((await claim()).length, 4);
  });

  it("is tried though a message begun before the fault is still under way, and told so meanwhile", async () => {
    await anAccount({ id: "a" });
    await enqueue("a", 4);
    const [slow, first] = await claim({ slots: 2 });
    const { held } = await file.store.queue.settle(first!, fault, file.clock.now());
    await file.clock.advance(held!.untilMs - file.clock.now().steadyMs);
    const inFlight = new Map([[slow!.accountKey, 1]]);
    const [probe, ...more] = await claim({ held: inFlight });
    assert.deepEqual([more.length, probe !== undefined], [0, true]);
    assert.equal((await claim({ held: inFlight })).length, 0, "one at a time");
    const [waiting] = (
      await file.store.messages.list({ status: "pending" }, null, 10, file.clock.now())
    ).records.filter((one) => ![slow!.id, probe!.id].includes(one.id));
    assert.equal(waiting?.waiting?.reason, "account held: 535 no; another message is out to try it");
    assert.equal((await file.store.queue.settle(slow!, SENT, file.clock.now())).released, false, "it tells of before");
    assert.equal((await file.store.queue.settle(probe!, SENT, file.clock.now())).released, true);
  });

  it("is tried later and later by a message of which it is said again and again, and by others meanwhile", async () => {
    await anAccount({ id: "a" });
    const [bad] = await enqueue("a", 1, { priority: 0 });
    const waits: number[] = [];
    for (let i = 0; i < 4; i++) {
      const [one] = await claim();
      assert.equal(one?.id, bad);
      await file.store.queue.settle(one!, fault, file.clock.now());
      const { deferredMs } = (await file.store.messages.get(bad!, file.clock.now()))!;
      waits.push(Math.round((deferredMs! - file.clock.now().wallMs) / 1000));
      await enqueue("a", 1);
      await file.clock.advance(5_000);
      const [good] = await claim();
      assert.equal((await file.store.queue.settle(good!, SENT, file.clock.now())).released, true);
      await file.clock.advance(waits.at(-1)! * 1000);
    }
    assert.deepEqual(waits, [5, 10, 20, 40]);
  });

  it("keeps who had been accepted before the fault", async () => {
    await anAccount({ id: "a" });
    await enqueue("a", 1);
    const [first] = await claim();
    const recipients = [
      { address: "one@example.org", outcome: "accepted" as const },
      { address: "two@example.org", outcome: "waiting" as const },
    ];
    const { held } = await file.store.queue.settle(first!, { ...fault, recipients }, file.clock.now());
    await file.clock.advance(held!.untilMs - file.clock.now().steadyMs + 1);
    assert.deepEqual((await claim())[0]?.recipients, recipients);
  });

  it("does not count the attempt, and reports it once", async () => {
    await anAccount({ id: "a" });
    const [id] = await enqueue("a", 1);
    const [one] = await claim();
    await file.store.queue.settle(one!, fault, file.clock.now());
    const record = (await file.store.messages.get(id!, file.clock.now()))!;
    assert.deepEqual([record.status, record.attempts, record.deferredReason], ["deferred", 0, "held: 535 no"]);
    const [report] = await file.store.reports.due(10, file.clock.now());
    assert.equal(report?.deferredClass, "held");
  });

  it("is released by an operator", async () => {
    await anAccount({ id: "a" });
    await enqueue("a", 5);
    await file.store.accounts.hold("a", "maintenance", null, file.clock.now());
    await file.clock.advance(10 * 86_400_000);
    assert.equal((await claim()).length, 0);
    await file.store.accounts.release("a", file.clock.now());
    assert.equal((await claim({ slots: 1 })).length, 1);
  });

  it("by a fault is released by changing the account, by an operator is not", async () => {
    await anAccount({ id: "a" });
    await enqueue("a", 5);
    const [one] = await claim({ slots: 1 });
    await file.store.queue.settle(one!, fault, file.clock.now());
    await anAccount({ id: "a", host: "other.example" });
    assert.equal((await claim({ slots: 1 })).length, 1);
    await file.store.accounts.hold("a", "maintenance", null, file.clock.now());
    await anAccount({ id: "a", host: "third.example" });
    assert.equal((await claim({ slots: 1 })).length, 0);
  });
});

describe("a message whose dispatchers are lost", () => {
  async function lose(times: number) {
    for (let i = 0; i < times; i++) {
      const claims = await claim({ slots: 1 });
      assert.equal(claims.length, 1);
      await file.store.processes.strikeOff(dispatcher, 0, file.clock.now());
      dispatcher = await aDispatcher();
    }
  }

  it("is sent alone after three times, and is an error after five", async () => {
    await anAccount({ id: "a" });
    const [killer] = await enqueue("a", 1, { priority: 0 });
    await lose(3);
    await enqueue("a", 3);
    const held = new Map([[1, 1]]);
    const request = { process: dispatcher, slots: 5, capacity: 10, bytes: 1e9, held, maxConnectionsPerAccount: 5 };
    const answer = await file.store.queue.claimDue(request, file.clock.now());
    assert.deepEqual(answer, { kind: "claimed", claims: [], damaged: [], unread: [], soloWaiting: true });
    const alone = await claim();
    assert.deepEqual([idsOf(alone), alone[0]?.solo], [[killer], true]);
    await file.store.processes.strikeOff(dispatcher, 0, file.clock.now());
    dispatcher = await aDispatcher();
    assert.deepEqual(idsOf(await claim()), [killer]);
    await file.store.processes.strikeOff(dispatcher, 0, file.clock.now());
    const record = (await file.store.messages.get(killer!, file.clock.now()))!;
    assert.equal(record.error, "delivery attempt died 5 times");
    assert.deepEqual(
      record.history.map((entry) => entry.outcome),
      ["lost", "lost", "lost", "lost", "error"],
    );
  });
});

describe("the moment of the first attempt", () => {
  const NOT_BEGUN: Outcome = { kind: "given_back", reason: "stopping", mailFromSent: false };

  it("is that of the first that may have reached the server, whatever was given back before or after", async () => {
    await anAccount({ id: "a" });
    await enqueue("a", 1);
    await settleAll(await claim(), NOT_BEGUN);
    await file.clock.advance(1000);
    const [lost] = await claim();
    assert.equal(lost?.firstAttemptMs, file.clock.now().wallMs, "what was never begun is no attempt");
    await file.store.processes.strikeOff(dispatcher, 0, file.clock.now());
    dispatcher = await aDispatcher();
    await file.clock.advance(1000);
    await settleAll(await claim(), NOT_BEGUN);
    assert.equal((await claim())[0]?.firstAttemptMs, lost?.firstAttemptMs);
  });

  it("stays when the account was held by it", async () => {
    await anAccount({ id: "a" });
    await enqueue("a", 1);
    const [first] = await claim();
    const fault: Outcome = { kind: "held", reason: "quota", mailFromSent: true, throttled: false, end: null };
    const { held } = await file.store.queue.settle(first!, fault, file.clock.now());
    await file.clock.advance(held!.untilMs - file.clock.now().steadyMs + 1);
    await settleAll(await claim(), NOT_BEGUN);
    assert.equal((await claim())[0]?.firstAttemptMs, first?.firstAttemptMs);
  });
});

describe("a message to be sent alone", () => {
  async function makeSolo(accountId: string) {
    const [id] = await enqueue(accountId, 1, { priority: 0 });
    for (let i = 0; i < 3; i++) {
      assert.deepEqual(idsOf(await claim({ slots: 1 })), [id]);
      await file.store.processes.strikeOff(dispatcher, 0, file.clock.now());
      dispatcher = await aDispatcher();
    }
    return id!;
  }

  it("has one dispatcher make itself free for it, while the others go on", async () => {
    await anAccount({ id: "a" });
    await anAccount({ id: "b" });
    const solo = await makeSolo("a");
    await enqueue("b", 6);
    const other = await aDispatcher();
    const busy = new Map([[99, 1]]);
    assert.deepEqual(await claim({ held: busy }), [], "this one stops claiming");
    const theirs = await claim({ process: other, held: busy, slots: 2 });
    assert.equal(accountsOf(theirs), "bb", "the other does not");
    assert.deepEqual(idsOf(await claim()), [solo]);
    assert.equal(accountsOf(await claim({ slots: 1 })), "b");
  });

  it("whose account is held stands in nobody's way, another such one's neither", async () => {
    await anAccount({ id: "a" });
    await anAccount({ id: "b" });
    await makeSolo("a");
    await file.store.accounts.hold("a", "maintenance", null, file.clock.now());
    const solo = await makeSolo("b");
    assert.deepEqual(idsOf(await claim()), [solo]);
    const [id] = await enqueue("b", 1);
    assert.deepEqual(idsOf(await claim({ held: new Map([[99, 1]]) })), [id]);
  });
});

describe("memory", () => {
  it("that one account's large message does not find leaves the others theirs", async () => {
    for (const id of ["a", "b"]) await anAccount({ id });
    const [large] = await enqueue("a", 1, { bytes: 5_000 });
    await file.clock.advance(1);
    const [small] = await enqueue("b", 1, { bytes: 10 });
    assert.deepEqual(idsOf(await claim({ bytes: 1_000, held: new Map([[99, 1]]) })), [small]);
    assert.deepEqual(idsOf(await claim({ bytes: 1_000 })), [large]);
  });
});

describe("turns over several claims", () => {
  it("give an immediate message at most every second slot", async () => {
    for (const id of ["a", "b"]) await anAccount({ id });
    await enqueue("a", 20, { priority: 0 });
    await enqueue("b", 20);
    let order = "";
    for (let i = 0; i < 10; i++) {
      order += accountsOf(await claim({ slots: 1 }));
      await file.clock.advance(1);
    }
    assert.ok(order.split("b").length - 1 >= 4, order);
  });
});

describe("settling", () => {
  it("is fenced by the claim: a lost one writes nothing", async () => {
    await anAccount({ id: "a" });
    const [id] = await enqueue("a", 1);
    const [old] = await claim();
    await file.store.processes.strikeOff(dispatcher, 0, file.clock.now());
    dispatcher = await aDispatcher();
    assert.equal((await file.store.queue.settle(old!, SENT, file.clock.now())).written, false, "between two claims");
    const [young] = await claim();
    assert.equal((await file.store.queue.settle(old!, SENT, file.clock.now())).written, false, "during the next claim");
    assert.equal((await file.store.messages.get(id!, file.clock.now()))?.status, "pending");
    assert.ok((await file.store.queue.settle(young!, SENT, file.clock.now())).written);
    assert.equal((await file.store.queue.settle(young!, SENT, file.clock.now())).written, false, "twice");
  });

  it("keeps each recipient's outcome and asks only those that wait again", async () => {
    await anAccount({ id: "a" });
    const recipients = ["x@example.org", "y@example.org"];
    await file.store.messages.enqueue([aCheckedMessage({ id: "m", accountId: "a", recipients })], file.clock.now());
    const [one] = await claim();
    const merged = [
      { address: "x@example.org", outcome: "accepted" as const, code: 250 },
      { address: "y@example.org", outcome: "waiting" as const, code: 451 },
    ];
    const untilMs = file.clock.now().steadyMs + 60_000;
    await settleAll([one!], {
      kind: "deferred",
      class: "retry",
      reason: "retry: 451 later",
      untilMs,
      countsAttempt: true,
      recipients: merged,
    });
    await file.clock.advance(60_000);
    const [again] = await claim();
    assert.deepEqual(again?.recipients, merged);
    assert.equal(again?.attempts, 1);
  });

  it("of a message that somebody took before ends it as sent, whatever ends it", async () => {
    await anAccount({ id: "a" });
    const recipients = ["x@example.org", "y@example.org"];
    const expiresMs = file.clock.now().wallMs + 60_000;
    const partly = ["deleted", "expired"].map((id) => aCheckedMessage({ id, accountId: "a", recipients, expiresMs }));
    await file.store.messages.enqueue(partly, file.clock.now());
    const untilMs = file.clock.now().steadyMs + 60_000;
    const merged = [
      { address: "x@example.org", outcome: "accepted" as const, code: 250 },
      { address: "y@example.org", outcome: "waiting" as const, code: 451 },
    ];
    const later = { kind: "deferred", class: "retry", reason: "retry: 451", untilMs, countsAttempt: true } as const;
    await settleAll(await claim(), { ...later, recipients: merged });
    await file.store.messages.remove(["none"], file.clock.now());
    await file.clock.advance(60_000);
    await file.store.housekeeping.expire(1e9, 1, file.clock.now());
    await file.store.accounts.remove("a", file.clock.now());
    for (const id of ["deleted", "expired"]) {
      const record = (await file.store.messages.get(id, file.clock.now()))!;
      assert.equal(record.status, "sent", id);
      assert.deepEqual(
        record.recipients.map((one) => one.outcome),
        ["accepted", "refused"],
      );
    }
  });

  it("of a deleted account's message that somebody took in this very attempt ends it as sent", async () => {
    await anAccount({ id: "a" });
    const recipients = ["x@example.org", "y@example.org"];
    await file.store.messages.enqueue([aCheckedMessage({ id: "m", accountId: "a", recipients })], file.clock.now());
    const claims = await claim();
    await file.store.accounts.remove("a", file.clock.now());
    const merged = [
      { address: "x@example.org", outcome: "accepted" as const, code: 250 },
      { address: "y@example.org", outcome: "waiting" as const, code: 451 },
    ];
    const untilMs = file.clock.now().steadyMs + 60_000;
    const later = { kind: "deferred", class: "retry", reason: "retry: 451", untilMs, countsAttempt: true } as const;
    await settleAll(claims, { ...later, recipients: merged });
    const record = (await file.store.messages.get("m", file.clock.now()))!;
    assert.deepEqual([record.status, record.recipients[0]?.outcome], ["sent", "accepted"]);
  });

  it("of what was given back before it began leaves no moment of a first attempt", async () => {
    await anAccount({ id: "a" });
    await enqueue("a", 1);
    await settleAll(await claim(), { kind: "given_back", reason: "stopping", mailFromSent: false });
    await file.clock.advance(3 * 86_400_000);
    const [later] = await claim();
    assert.equal(later?.firstAttemptMs, file.clock.now().wallMs);
    assert.equal(later?.firstDueMs, file.clock.now().steadyMs);
  });

  it("of a deleted account's message ends it, and finishes what was sent", async () => {
    await anAccount({ id: "a" });
    const [waiting, flying, deferring] = await enqueue("a", 3).then(([a, b, c]) => [c, a, b]);
    const claims = await claim({ slots: 2 });
    assert.deepEqual(idsOf(claims), [flying, deferring]);
    await file.store.accounts.remove("a", file.clock.now());
    assert.equal((await file.store.messages.get(waiting!, file.clock.now()))?.error, "account deleted");
    await settleAll([claims[0]!]);
    await settleAll([claims[1]!], { kind: "given_back", reason: "stopping", mailFromSent: false });
    assert.equal((await file.store.messages.get(flying!, file.clock.now()))?.status, "sent");
    assert.equal((await file.store.messages.get(deferring!, file.clock.now()))?.error, "account deleted");
    assert.equal((await file.store.reports.due(10, file.clock.now())).length, 3);
  });
});
