import assert from "node:assert/strict";
import { test } from "node:test";
import type { SyncCall } from "../../support/sync-client.ts";
import { reporting, SENT } from "./reporting.ts";

const ids = (call: SyncCall) => call.body.delivery_report.map(({ id }) => id);

test("after failures the same reports go again after 1 s, doubling to 5 min, for as long as it takes", async (t) => {
  const { sent, pass, passes, clock, client, posted, reportedMs } = await reporting(t, { client: { timeoutMs: 1000 } });
  await sent("a", "b");
  client.answer = () => "cut";
  for (const seconds of [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]) {
    const before = client.calls.length;
    await pass();
    assert.equal(client.calls.length, before + 1);
    await clock.advance(seconds * 1000 - 1);
    await pass();
    assert.equal(client.calls.length, before + 1, `not before ${seconds} s`);
    await clock.advance(1);
  }
  client.answer = () => ({});
  await passes();
  assert.deepEqual(new Set(posted().map(String)), new Set(["a,b"]), "without an answer the POST stays as large");
  assert.notEqual(await reportedMs("a"), null);

  client.answer = () => "cut";
  await sent("c");
  await passes(200);
  const before = client.calls.length;
  await passes(1000);
  assert.equal(client.calls.length, before + 1, "the back-off has begun anew");
});

test("the back-off is shifted by up to a tenth", async (t) => {
  const { sent, pass, clock, client } = await reporting(t, { reporter: { random: () => 1 }, answer: () => "cut" });
  await sent("a");
  await pass();
  await clock.advance(1099);
  await pass();
  assert.equal(client.calls.length, 1);
  await clock.advance(1);
  await pass();
  assert.equal(client.calls.length, 2);
});

test("nobody listens: the reason is logged and counted", async (t) => {
  const { sent, pass, client, log, metric } = await reporting(t);
  await client.close();
  await sent("a");
  await pass();
  assert.equal(log.at(-1).event, "report_failed");
  assert.match(log.at(-1).reason, /ECONNREFUSED/);
  assert.equal(log.at(-1).retryMs, 1000);
  assert.equal(await metric("reports_failed_total"), 1);
  assert.equal(await metric("reports_set_aside_total"), 0, "without an answer no report is to blame");
});

for (const [name, header, seconds] of [
  ["seconds", "90", 90],
  ["a date", "Fri, 15 Jan 2027 08:01:30 GMT", 90],
  ["a past date", "Fri, 15 Jan 2027 07:00:00 GMT", 1],
  ["less than the back-off", "0", 1],
  ["nonsense", "soon", 1],
  ["longer than an hour", "900000", 3600],
] as const) {
  test(`Retry-After: ${name}`, async (t) => {
    const { sent, pass, clock, client } = await reporting(t, {
      answer: () => ({ status: 503, headers: { "retry-after": header } }),
    });
    await sent("a", "b");
    await pass();
    await clock.advance(seconds * 1000 - 1);
    await pass();
    assert.equal(client.calls.length, 1);
    await clock.advance(1);
    await pass();
    assert.equal(client.calls.length, 2);
  });
}

test("a run-now ends a back-off and a Retry-After, but not within the first second", async (t) => {
  const { sent, pass, clock, client, store } = await reporting(t, { answer: () => "cut" });
  await sent("a", "b");
  for (const seconds of [1, 2, 4]) {
    await pass();
    await clock.advance(seconds * 1000);
  }
  await pass();
  assert.equal(client.calls.length, 4);
  await store.service.runNow();
  await pass();
  assert.equal(client.calls.length, 4);
  await clock.advance(1000);
  await pass();
  assert.equal(client.calls.length, 5);

  client.answer = () => ({ status: 429, headers: { "retry-after": "60" } });
  await store.service.runNow();
  await clock.advance(1000);
  await pass();
  assert.equal(client.calls.length, 6);
  await clock.advance(30_000);
  await pass();
  assert.equal(client.calls.length, 6);
  await store.service.runNow();
  await pass();
  assert.equal(client.calls.length, 7);
});

test("after a failure with an answer the next POST holds half as many; they grow back", async (t) => {
  const names = [..."abcdefgh"];
  const { sent, passes, client, posted } = await reporting(t, { reporter: { batchSize: 8 } });
  await sent(...names);
  client.answer = (call) => ({ status: ids(call).length > 2 ? 413 : 200 });
  await passes();
  await passes(1000);
  assert.deepEqual(
    posted().map((one) => one.length),
    [8, 4],
  );
  client.answer = () => ({});
  await passes(2000);
  assert.deepEqual(
    posted().map((one) => one.length),
    [8, 4, 2, 4, 2],
  );
  assert.deepEqual(posted().slice(2).flat(), names);
});

test("a report that fails alone is set aside with a back-off of its own and delays no other", async (t) => {
  const { sent, passes, client, posted, reportedMs, log, metric } = await reporting(t);
  await sent("a", "b", "bad", "c", "d");
  client.answer = (call) => ({ status: ids(call).includes("bad") ? 422 : 200 });
  await passes();
  await passes(1000);
  await passes(1000);
  assert.deepEqual(posted(), [["a", "b", "bad", "c", "d"], ["a", "b"], ["bad", "c", "d"], ["bad"], ["c"], ["d"]]);
  for (const id of ["a", "b", "c", "d"]) assert.notEqual(await reportedMs(id), null, id);
  assert.equal(await reportedMs("bad"), null);
  assert.equal(await metric("reports_set_aside_total"), 1);
  const line = log.find(({ event }) => event === "report_set_aside");
  assert.deepEqual([line.id, line.retryMs], ["bad", 1000]);

  await sent("e", "f");
  await passes(200);
  assert.notEqual(await reportedMs("f"), null);
  const before = client.calls.length;
  await passes(1000);
  assert.deepEqual(posted().slice(before), [["bad"]], "it is posted alone");
  await sent("g");
  await passes();
  assert.notEqual(await reportedMs("g"), null, "and its failing holds up nobody");

  client.answer = () => ({});
  await passes(300_000);
  assert.notEqual(await reportedMs("bad"), null);
});

test("the back-off of one that stays refused doubles to 5 min", async (t) => {
  const { sent, passes, client } = await reporting(t, {
    reporter: { intervalMs: 1e9 },
    answer: (call) => ({ status: ids(call).includes("bad") ? 400 : 200 }),
  });
  await sent("bad");
  await passes();
  for (const seconds of [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]) {
    const before = client.calls.filter((call) => ids(call).includes("bad")).length;
    const calls = () => client.calls.filter((call) => ids(call).includes("bad")).length;
    await passes(seconds * 1000 - 1);
    assert.equal(calls(), before, `not before ${seconds} s`);
    await passes(1);
    assert.equal(calls(), before + 1);
  }
});

test("when one after the other fails alone, it is the client: the calls back off", async (t) => {
  const { sent, passes, client, posted, reportedMs } = await reporting(t, {
    reporter: { batchSize: 1 },
    answer: () => ({ status: 500 }),
  });
  await sent("a", "b", "c", "d");
  await passes();
  assert.deepEqual(posted(), [["a"], ["b"]], "the first delays no other; the second may be the client's fault");
  await passes(600_000);
  const spent = client.calls.length;
  assert.ok(spent < 10, `${spent} calls`);
  client.answer = () => ({});
  await passes(300_000);
  await passes(1000);
  for (const id of ["a", "b", "c", "d"]) assert.notEqual(await reportedMs(id), null, id);
});

test("one set aside never goes together with others, and shrinks no batch of theirs", async (t) => {
  const { sent, passes, clock, client, posted } = await reporting(t);
  client.answer = (call) => ({ status: ids(call).includes("bad") ? 400 : 200 });
  await sent("bad");
  await passes();
  for (const seconds of [1, 2, 4]) await passes(seconds * 1000);
  await clock.advance(8000);
  await sent("a", "b");
  const before = client.calls.length;
  await passes();
  await passes(200);
  assert.deepEqual(posted().slice(before), [["a", "b"], ["bad"]]);
});

test("those set aside take turns with the others", async (t) => {
  const { sent, passes, clock, client, posted } = await reporting(t, {
    reporter: { batchSize: 1 },
    answer: () => ({ status: 500 }),
  });
  await sent("bad-1", "bad-2");
  await passes();
  client.answer = (call) => ({ status: ids(call)[0]?.startsWith("bad") ? 500 : 200 });
  await sent("good");
  await passes(1000);
  await clock.advance(60_000);
  await sent("a", "b");
  const before = client.calls.length;
  await passes();
  assert.deepEqual(posted().slice(before), [["a"], ["bad-1"], ["b"], ["bad-2"]]);
});

test("one that was set aside and then taken is as good as any other", async (t) => {
  const { enqueue, settle, sent, passes, clock, client, posted } = await reporting(t);
  client.answer = () => ({ status: 400 });
  await enqueue("a");
  await settle({
    kind: "deferred",
    class: "retry",
    reason: "retry: 451",
    untilMs: clock.now().steadyMs + 60_000,
    countsAttempt: true,
    recipients: [],
  });
  await passes();
  client.answer = () => ({});
  await passes(1000);
  await clock.advance(60_000);
  await sent("b");
  await settle(SENT);
  const before = client.calls.length;
  await passes();
  assert.deepEqual(posted().slice(before).flat().sort(), ["a", "b"]);
  assert.equal(client.calls.length, before + 1);
});

test("of those set aside and never seen again, as deleted ones are, a bounded number is remembered", async (t) => {
  const { sent, passes, client, posted, session } = await reporting(t, { answer: () => ({ status: 400 }) });
  await sent("bad");
  await passes();
  const { aside } = session();
  const [bad] = aside;
  for (let gone = 1; gone < 1000; gone++) aside.add(-gone);
  await passes(1000);
  await sent("worse");
  await passes(10_000);
  assert.ok(client.calls.length > 2);
  assert.equal(aside.size, 1000);
  assert.ok(aside.has(bad!), "what goes on failing is not forgotten");
  assert.equal(aside.has(-1), false, "the oldest of the others is");
  const reports = posted().filter((ids) => ids.length > 0);
  assert.deepEqual(new Set(reports.map(String)), new Set(["bad", "worse"]), "each alone");
});

test("an answer too long to be one is a failure, and the next call works", async (t) => {
  const { sent, passes, client, clock, reportedMs, log } = await reporting(t);
  await passes();
  await clock.advance(1000);
  await sent("a");
  client.answer = () => ({ rawBody: `{"ok":true,"x":"${"x".repeat(5_000_000)}"}` });
  await passes();
  assert.equal(await reportedMs("a"), null);
  assert.equal(log.filter(({ event }) => event === "report_failed").length, 1);
  client.answer = () => ({});
  await passes(1000);
  assert.notEqual(await reportedMs("a"), null);
});
