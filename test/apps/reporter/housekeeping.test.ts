import assert from "node:assert/strict";
import { test } from "node:test";
import { keepHouse, newChores } from "@async-mail/reporter/housekeeping";
import { tenantRound } from "@async-mail/reporter/tenant-round";
import { aCheckedMessage } from "../../support/messages.ts";
import { reporting } from "./reporting.ts";

const DAY_MS = 86_400_000;

test("what is reported is purged after the retention, in steps of 200", async (t) => {
  const { sent, passes, tidy, clock, store, log, metric } = await reporting(t);
  const ids = Array.from({ length: 450 }, (_, i) => `message-${i}`);
  await sent(...ids);
  await passes();
  await tidy({ retentionMs: DAY_MS });
  assert.equal(await metric("purged_total"), 0);
  await clock.advance(DAY_MS + 1000);
  await tidy({ retentionMs: DAY_MS });
  assert.deepEqual(
    log.filter(({ event }) => event === "purged").map(({ count }) => count),
    [200, 200, 50],
  );
  assert.equal(await metric("purged_total"), 450);
  assert.deepEqual((await store.messages.list({}, null, 10, clock.now())).records, []);
});

test("without a client, messages are purged by the age of their end", async (t) => {
  const { sent, tidy, clock, store } = await reporting(t);
  await sent("old");
  await clock.advance(DAY_MS);
  await sent("new");
  await clock.advance(1000);
  await tidy({ retentionMs: DAY_MS, configured: true });
  assert.notEqual(await store.messages.get("old", clock.now()), null);
  await tidy({ retentionMs: DAY_MS, configured: false });
  assert.equal(await store.messages.get("old", clock.now()), null);
  assert.notEqual(await store.messages.get("new", clock.now()), null);
});

test("a report that nobody takes is given up after its age: counted, logged, purged", async (t) => {
  const { sent, passes, tidy, clock, store, log, metric } = await reporting(t, {
    answer: () => ({ status: 500 }),
  });
  await sent("a");
  await passes();
  await clock.advance(3_600_000);
  await tidy({ reportMaxAgeMs: 0 });
  await tidy({ reportMaxAgeMs: 3_600_001 });
  assert.notEqual(await store.messages.get("a", clock.now()), null);
  await clock.advance(1000);
  await tidy({ reportMaxAgeMs: 3_600_001, configured: false });
  assert.notEqual(await store.messages.get("a", clock.now()), null);
  await tidy({ reportMaxAgeMs: 3_600_001 });
  assert.equal(await store.messages.get("a", clock.now()), null);
  assert.equal(await metric("reports_given_up_total"), 1);
  assert.equal(log.at(-1).event, "report_given_up");
});

test("what is not worth sending any more ends as an error, and is reported", async (t) => {
  const { enqueueAs, tidy, passes, clock, client, log } = await reporting(t);
  await enqueueAs({ id: "a", deferredMs: clock.now().wallMs + 3_600_000, expiresMs: clock.now().wallMs + 60_000 });
  await clock.advance(60_001);
  await tidy();
  assert.equal(log.at(-1).event, "expired");
  await passes();
  assert.match(client.calls.at(-1)!.body.delivery_report[0]!.error!, /^expired/);
});

test("one pass is one step, and a chore with much to do takes turns with the others", async (t) => {
  const { house, clock } = await reporting(t);
  const steps: string[] = [];
  const chore = (name: string, more: boolean) => ({
    everyMs: 5000,
    dueMs: 0,
    step: async () => {
      steps.push(name);
      return more;
    },
  });
  const chores = [chore("long", true), chore("short", false)];
  for (let i = 0; i < 4; i++) {
    assert.deepEqual(await keepHouse(house(), chores), { waitMs: 20 });
    await clock.advance(20);
  }
  assert.deepEqual(steps, ["long", "short", "long", "long"]);
});

test("every chore runs on a real file, and then there is nothing to do for 2 s", async (t) => {
  const { house, clock } = await reporting(t);
  const chores = newChores(clock.now().steadyMs);
  await clock.advance(DAY_MS);
  for (const _ of chores) await keepHouse(house({ retentionMs: 1, reportMaxAgeMs: 1 }), chores);
  assert.deepEqual(await keepHouse(house(), chores), { waitMs: 2000 });
});

test("a reporter that stands by keeps no house", async (t) => {
  const { house, another, clock } = await reporting(t);
  const { presence } = await another();
  const chores = newChores(clock.now().steadyMs);
  assert.deepEqual(await keepHouse(house({ presence }), chores), { waitMs: 1000 });
  assert.ok(chores.every((chore) => chore.dueMs >= clock.now().steadyMs));
});

test("mail that sees no attempt is told once, again after a while, and when it is over", async (t) => {
  const { enqueue, house, clock, log, store } = await reporting(t);
  const { watchdog } = house();
  await enqueue("a", "b");
  const told = () => log.filter(({ event }) => event === "stalled" || event === "stall_over");
  await clock.advance(59_000);
  await watchdog.look();
  assert.deepEqual(told(), []);
  for (const _ of [1, 2, 3]) {
    await clock.advance(2_000);
    await watchdog.look();
  }
  assert.equal(told().length, 1);
  const { level, accounts, count, reason } = told()[0];
  assert.deepEqual(
    [level, accounts, count, reason],
    ["warn", ["account-1"], 1, "no dispatcher has a free slot or connection for it"],
  );
  await clock.advance(300_000);
  await watchdog.look();
  assert.equal(told().length, 2);
  await store.accounts.hold("account-1", "maintenance", null, clock.now());
  await clock.advance(2_000);
  await watchdog.look();
  assert.equal(told().at(-1).event, "stall_over");
});

test("a chore that fails does not keep the others from their turn", async (t) => {
  const { sent, passes, house, clock, store } = await reporting(t);
  await sent("a");
  await passes();
  await clock.advance(DAY_MS);
  const failing = { ...store.housekeeping, expire: () => Promise.reject(new Error("damaged")) };
  const chores = newChores(clock.now().steadyMs);
  let failures = 0;
  for (const _ of chores)
    await keepHouse(house({ store: { ...store, housekeeping: failing }, retentionMs: 1000 }), chores).catch(() => {
      failures += 1;
    });
  assert.equal(failures, 1);
  assert.equal(await store.messages.get("a", clock.now()), null, "purged");
});

test("tenants with a client are purged by the age of the report, those without by the age of the end", async (t) => {
  const { tenant, passes, tidy, clock, log, sent, store } = await reporting(t);
  const reported = await tenant("reported");
  const refusing = await tenant("refusing", { answer: () => ({ status: 500 }) });
  const without = await tenant("without", { change: { clientBaseUrl: null } });
  for (const one of [reported, refusing, without]) await one.sent("a");
  await sent("a");
  await passes();
  await clock.advance(DAY_MS + 1000);
  await tidy({ retentionMs: DAY_MS });
  const left = async ({ store }: Pick<typeof reported, "store">) =>
    (await store.messages.list({}, null, 10, clock.now())).records.map(({ id }) => id);
  assert.deepEqual(await Promise.all([reported, refusing, without, { store }].map(left)), [[], ["a"], [], []]);
  assert.deepEqual(
    log.filter(({ event }) => event === "purged").map(({ tenant: id, count }) => [id, count]),
    [
      [undefined, 1],
      ["reported", 1],
      ["without", 1],
    ],
  );
});

test("reports are given up by each tenant's own age, and only of tenants that have a client", async (t) => {
  const { tenant, passes, tidy, clock, log } = await reporting(t, { answer: () => ({ status: 500 }) });
  const refusing = await tenant("refusing", { answer: () => ({ status: 500 }) });
  const without = await tenant("without", { change: { clientBaseUrl: null } });
  await refusing.sent("old");
  await without.sent("old");
  await passes();
  await clock.advance(3_600_000);
  await refusing.sent("new");
  await tidy({ reportMaxAgeMs: 3_600_000 - 1 });
  const left = async ({ store }: typeof refusing) =>
    (await store.messages.list({}, null, 10, clock.now())).records.map(({ id }) => id);
  assert.deepEqual([await left(refusing), await left(without)], [["new"], ["old"]]);
  const line = log.find(({ event }) => event === "report_given_up");
  assert.deepEqual([line.tenant, line.count], ["refusing", 1]);
});

test("a deleted tenant that nobody takes the reports of is forgotten after the retention, never when that is for ever", async (t) => {
  const { tenant, passes, tidy, clock, store } = await reporting(t);
  const one = await tenant("one", { answer: () => ({ status: 500 }) });
  await one.store.messages.enqueue([aCheckedMessage({ accountId: "account-1" })], clock.now());
  await store.tenants.remove("one", clock.now());
  await passes();
  const kept = async () => (await store.tenants.clients()).some(({ id }) => id === "one");
  await clock.advance(DAY_MS - 1000);
  await tidy({ retentionMs: DAY_MS });
  await clock.advance(2000);
  await tidy({ retentionMs: 0 });
  assert.ok(await kept());
  await tidy({ retentionMs: DAY_MS });
  await tidy({ retentionMs: DAY_MS });
  assert.equal(await kept(), false);
});

test("a round of tenants goes in small steps, and one with much to do keeps no other waiting", async () => {
  const left = new Map([
    ["much", 450],
    ["little", 10],
    ["none", 0],
  ]);
  const worked: string[] = [];
  const step = tenantRound(
    200,
    async () => [...left.keys()],
    async (_house: null, tenant, rows) => {
      const count = Math.min(rows, left.get(tenant)!);
      left.set(tenant, left.get(tenant)! - count);
      worked.push(`${tenant} ${count}`);
      return count;
    },
  );
  const more: boolean[] = [];
  while (more.at(-1) !== false) more.push(await step(null));
  assert.deepEqual(worked, [
    ...["much 200", "little 10", "none 0"],
    ...["much 200", "little 0", "none 0"],
    ...["much 50", "little 0", "none 0"],
  ]);
  assert.equal(more.length, 5);
});

test("a step looks at a bounded number of tenants, and one that fails ends no round", async () => {
  const seen: number[] = [];
  const step = tenantRound(
    200,
    async () => Array.from({ length: 120 }, (_, tenant) => tenant),
    async (_house: null, tenant) => {
      seen.push(tenant);
      if (tenant === 10) throw new Error("damaged");
      return 0;
    },
  );
  await assert.rejects(step(null), /damaged/);
  assert.equal(await step(null), true);
  assert.equal(seen.length, 61);
  assert.equal(await step(null), true);
  assert.equal(await step(null), false);
  assert.equal(seen.length, 120);
});
