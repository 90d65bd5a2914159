import assert from "node:assert/strict";
import { test } from "node:test";
import { aCheckedMessage } from "../../support/messages.ts";
import { type Reporting, reporting } from "./reporting.ts";

const rule = {
  name: "office",
  enabled: true,
  days: [0, 1, 2, 3, 4],
  startHour: 9,
  endHour: 17,
  crossMidnight: false,
  intervalMinutes: 10,
};

/** Calls made when the clock has moved on. */
async function callsAfter({ passes, client }: Reporting, ms: number): Promise<number> {
  const before = client.calls.length;
  await passes(ms);
  return client.calls.length - before;
}

/** Lets the client hand over that many new messages in each call, and announce `announced`. */
function bring({ client, store, clock }: Reporting, count: number, answer: object): void {
  client.answer = async () => {
    const messages = Array.from({ length: count }, () => aCheckedMessage({ accountId: "account-1" }));
    await store.messages.enqueue(messages, clock.now());
    return { body: { ok: true, ...answer } };
  };
}

test("the client is polled with an empty list at the start and at the interval", async (t) => {
  const running = await reporting(t);
  assert.equal(await callsAfter(running, 0), 1);
  assert.deepEqual(running.client.calls[0]?.body, { delivery_report: [] });
  assert.equal(await callsAfter(running, 299_999), 0);
  assert.equal(await callsAfter(running, 1), 1);
  assert.equal(running.log.at(-1).event, "polled");
});

test("every acknowledged POST counts as a poll, one that failed does not", async (t) => {
  const running = await reporting(t);
  await running.passes();
  await running.clock.advance(200_000);
  await running.sent("a");
  await running.passes();
  assert.equal(await callsAfter(running, 299_999), 0);
  running.client.answer = () => ({ status: 500 });
  assert.equal(await callsAfter(running, 1), 1);
  assert.equal(await callsAfter(running, 1000), 1);
  running.client.answer = () => ({});
  assert.equal(await callsAfter(running, 2000), 1);
  assert.equal(await callsAfter(running, 299_999), 0);
});

test("a restart does not poll again before the interval", async (t) => {
  const running = await reporting(t);
  await running.passes();
  running.restart();
  assert.equal(await callsAfter(running, 299_999), 0);
  assert.equal(await callsAfter(running, 1), 1);
});

test("a jump of the wall clock neither brings a poll nor delays one", async (t) => {
  const running = await reporting(t);
  await running.passes();
  running.clock.jumpWall(86_400_000);
  assert.equal(await callsAfter(running, 299_999), 0);
  running.clock.jumpWall(-200_000_000);
  assert.equal(await callsAfter(running, 1), 1);
});

test("rules decide when and how often; reports never wait for them", async (t) => {
  // It is Friday, 08:00.
  const running = await reporting(t);
  await running.store.rules.add(rule);
  assert.equal(await callsAfter(running, 0), 0);
  await running.sent("a");
  assert.equal(await callsAfter(running, 0), 1, "a report");
  assert.equal(await callsAfter(running, 3_599_000), 0);
  assert.equal(await callsAfter(running, 1000), 1, "09:00");
  assert.equal(await callsAfter(running, 599_999), 0);
  assert.equal(await callsAfter(running, 1), 1, "09:10");
  assert.equal(await callsAfter(running, 10 * 3_600_000), 0, "19:10");
  await running.store.rules.setEnabled(1, false);
  assert.equal(await callsAfter(running, 0), 0, "with rules but none matching");
  await running.store.rules.remove(1);
  assert.equal(await callsAfter(running, 0), 1, "without rules");
});

test("while suspended there is no poll, and reports go out", async (t) => {
  const running = await reporting(t);
  await running.store.service.setActive(false);
  assert.equal(await callsAfter(running, 0), 0);
  await running.store.service.runNow();
  assert.equal(await callsAfter(running, 0), 0);
  await running.store.service.setActive(true);
  await running.sent("a");
  await running.store.service.setActive(false);
  assert.equal(await callsAfter(running, 0), 1);
  assert.deepEqual(running.posted(), [["a"]]);
  assert.equal(await callsAfter(running, 600_000), 0);
  await running.store.service.setActive(true);
  assert.equal(await callsAfter(running, 0), 1);
});

test("a run-now that came while suspended is served when active again", async (t) => {
  const running = await reporting(t);
  await running.passes();
  await running.store.service.setActive(false);
  await running.store.service.runNow();
  assert.equal(await callsAfter(running, 1000), 0);
  await running.store.service.setActive(true);
  assert.equal(await callsAfter(running, 0), 1);
});

test("a run-now polls now, also outside the rules; hundreds are one poll", async (t) => {
  const running = await reporting(t);
  await running.store.rules.add(rule);
  assert.equal(await callsAfter(running, 0), 0);
  await Promise.all(Array.from({ length: 300 }, () => running.store.service.runNow()));
  assert.equal(await callsAfter(running, 0), 1);
  assert.equal(await callsAfter(running, 60_000), 0);
});

test("a run-now during a poll causes one more after it, not two", async (t) => {
  const running = await reporting(t);
  running.client.answer = async () => {
    if (running.client.calls.length === 1) {
      await Promise.all([running.store.service.runNow(), running.store.service.runNow()]);
    }
    return {};
  };
  await running.passes();
  await running.passes(1000);
  await running.passes(1000);
  assert.equal(running.client.calls.length, 2);
  assert.equal(running.client.open.max, 1);
});

test("a run-now is not forgotten by a restart, nor served twice", async (t) => {
  const running = await reporting(t);
  await running.passes();
  await running.store.service.runNow();
  running.restart();
  assert.equal(await callsAfter(running, 1000), 1);
  running.restart();
  assert.equal(await callsAfter(running, 1000), 0);
});

test("next_sync_after keeps empty polls away, over a restart and against run-now, but no report", async (t) => {
  const running = await reporting(t);
  const { clock, store, client } = running;
  client.answer = () => ({ body: { ok: true, next_sync_after: clock.now().wallMs / 1000 + 3600 } });
  await running.passes();
  client.answer = () => ({});
  running.restart();
  assert.equal(await callsAfter(running, 600_000), 0);
  await store.service.runNow();
  assert.equal(await callsAfter(running, 1000), 0);
  await running.sent("a");
  assert.equal(await callsAfter(running, 1000), 1);
  await store.service.runNow();
  assert.equal(await callsAfter(running, 2_997_999), 0);
  assert.equal(await callsAfter(running, 1), 1, "and then what waited is served");
});

test("next_sync_after is at most 24 h, and a past one is none", async (t) => {
  const running = await reporting(t);
  const { clock, client } = running;
  client.answer = () => ({ body: { ok: true, next_sync_after: clock.now().wallMs / 1000 + 7 * 86_400 } });
  await running.passes();
  client.answer = () => ({ body: { ok: true, next_sync_after: 12 } });
  assert.equal(await callsAfter(running, 86_399_999), 0);
  assert.equal(await callsAfter(running, 1), 1);
  assert.equal(await callsAfter(running, 300_000), 1);
});

test("queued above 0: at once while calls bring new ids, else after 1 s, doubling to the interval", async (t) => {
  const running = await reporting(t, { reporter: { intervalMs: 10_000 } });
  const { client, store, clock } = running;
  client.answer = async () => {
    const isNew = client.calls.length <= 3;
    if (isNew) await store.messages.enqueue([aCheckedMessage({ accountId: "account-1" })], clock.now());
    return { body: { ok: true, queued: 5 } };
  };
  assert.equal(await callsAfter(running, 0), 4, "three that brought something, and the one that did not");
  for (const seconds of [1, 2, 4, 8, 10, 10]) {
    assert.equal(await callsAfter(running, seconds * 1000 - 1), 0, `not before ${seconds} s`);
    assert.equal(await callsAfter(running, 1), 1);
  }
  bring(running, 1, { queued: 1 });
  const { length } = client.calls;
  client.answer = (
    (answer) => async (call) =>
      client.calls.length > length + 2 ? {} : answer(call)
  )(client.answer);
  assert.equal(await callsAfter(running, 10_000), 3, "new ids again");
});

test("an id stored before is not new, also where it failed and starts afresh", async (t) => {
  const running = await reporting(t);
  const { client, store, clock } = running;
  const message = aCheckedMessage({ id: "again", accountId: "account-1" });
  await store.messages.enqueue([message], clock.now());
  await running.settle({ kind: "error", error: "550 no", recipients: [], mailFromSent: true });
  client.answer = async () => {
    await store.messages.enqueue([message], clock.now());
    return { body: { ok: true, queued: 1 } };
  };
  assert.equal(await callsAfter(running, 0), 1);
  assert.equal(await callsAfter(running, 999), 0);
});

test("more_messages: again as with queued, and a run-now that wakes the dispatchers but not ourselves", async (t) => {
  const running = await reporting(t);
  const before = await running.store.service.runNowCount();
  running.client.answer = () => ({ body: { ok: true, more_messages: true } });
  assert.equal(await callsAfter(running, 0), 1);
  assert.equal(await running.store.service.runNowCount(), before + 1);
  assert.equal(await callsAfter(running, 999), 0);
  running.client.answer = () => ({});
  assert.equal(await callsAfter(running, 1), 1);
  assert.equal(await callsAfter(running, 60_000), 0);
});

test("outside the rules, what a run-now began goes on, and nothing else", async (t) => {
  const running = await reporting(t);
  await running.store.rules.add(rule);
  running.client.answer = () => ({ body: { ok: true, queued: 1 } });
  await running.sent("a");
  assert.equal(await callsAfter(running, 0), 1, "the report");
  assert.equal(await callsAfter(running, 60_000), 0);
  await running.store.service.runNow();
  assert.equal(await callsAfter(running, 0), 1);
  assert.equal(await callsAfter(running, 2000), 1);
  assert.equal(await callsAfter(running, 4000), 1);
});

test("an idle pass tells how long there is nothing to do, and writes nothing", async (t) => {
  const running = await reporting(t, { reporter: { intervalMs: 700 } });
  const other = await running.another();
  await running.passes();
  await running.clock.advance(500);
  assert.equal(await running.pass(), 200);
  assert.equal(await other.pass(), 1000);
});
