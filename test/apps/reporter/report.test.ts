import assert from "node:assert/strict";
import { test } from "node:test";
import type { Outcome } from "@async-mail/domain/outcome";
import { aCheckedMessage } from "../../support/messages.ts";
import { REFUSED, reporting, SENT } from "./reporting.ts";

const DAY_MS = 86_400_000;

function deferred(untilMs: number, reason = "retry: 451 try later"): Outcome {
  return {
    kind: "deferred",
    class: "retry",
    reason,
    untilMs,
    countsAttempt: true,
    code: 451,
    response: "451 try later",
    recipients: [],
  };
}

test("sent and failed messages are reported once, in the contract's shape, and marked", async (t) => {
  const { enqueue, settle, passes, client, clock, reportedMs, log } = await reporting(t);
  await enqueue("good");
  await settle(SENT);
  await clock.advance(1000);
  await enqueue("bad");
  await settle(REFUSED);
  await passes();
  await passes(1000);

  assert.equal(client.calls.length, 1);
  const call = client.calls[0]!;
  assert.equal(call.method, "POST");
  assert.equal(call.headers["content-type"], "application/json");
  const [good, bad] = call.body.delivery_report;
  assert.equal(good?.id, "good");
  assert.equal(good?.account_id, "account-1");
  assert.equal(good?.sent_ts, (clock.now().wallMs - 2000) / 1000);
  assert.deepEqual([good?.error_ts, good?.error, good?.deferred_ts], [null, null, null]);
  assert.equal(bad?.error, "550 5.1.1 no such user");
  assert.deepEqual([bad?.sent_ts, bad?.deferred_ts], [null, null]);
  assert.ok(bad!.seq > good!.seq);
  assert.equal(await reportedMs("good"), clock.now().wallMs - 1000);
  assert.equal(log.find((line) => line.event === "reported").count, 2);
});

test("a report tells the client within the pass that sees it, and its age is measured", async (t) => {
  const { passes, sent, clock, metric, reporter } = await reporting(t);
  await passes();
  await sent("a");
  await clock.advance(700);
  await passes();
  assert.equal(await metric("reports_posted_total"), 1);
  const age = (await reporter.metrics.age.get()).values.find((one) => one.metricName?.endsWith("_sum"));
  assert.equal(age?.value, 0.7);
});

test("a message that changes while its report is under way is reported again", async (t) => {
  const { enqueue, settle, pass, passes, client, clock, reportedMs } = await reporting(t);
  await enqueue("a");
  await settle(deferred(clock.now().steadyMs + 60_000));
  client.answer = async () => {
    await clock.advance(60_000);
    await settle(SENT);
    return {};
  };
  await pass();
  assert.equal(await reportedMs("a"), null, "the state it has now was not posted");

  client.answer = () => ({});
  await passes(1000);
  const [first, second] = client.calls.flatMap((call) => call.body.delivery_report);
  assert.equal(first?.deferred_reason, "retry: 451 try later");
  assert.notEqual(second?.sent_ts, null);
  assert.equal(second?.deferred_ts, null);
  assert.ok(second!.seq > first!.seq);
  assert.equal(await reportedMs("a"), clock.now().wallMs);
});

test("a message deferred, reported, then sent is reported again", async (t) => {
  const { enqueue, settle, passes, posted, clock, reportedMs } = await reporting(t);
  await enqueue("a");
  await settle(deferred(clock.now().steadyMs + 60_000));
  await passes();
  assert.deepEqual(posted(), [["a"]]);
  await clock.advance(60_000);
  await settle(deferred(clock.now().steadyMs + 60_000, "retry: 451 again"));
  await passes(1000);
  assert.deepEqual(posted(), [["a"]], "the same class is reported once");
  await clock.advance(60_000);
  await settle(SENT);
  assert.equal(await reportedMs("a"), null);
  await passes(1000);
  assert.deepEqual(posted(), [["a"], ["a"]]);
  assert.equal(await reportedMs("a"), clock.now().wallMs);
});

test("what only waits is not reported", async (t) => {
  const { enqueueAs, passes, posted, clock } = await reporting(t);
  await enqueueAs({ id: "later", deferredMs: clock.now().wallMs + 60_000 });
  await enqueueAs({ id: "now" });
  await passes();
  assert.deepEqual(posted(), [[]]);
});

test("reports go in batches, oldest first, one call at a time", async (t) => {
  const { sent, passes, posted, client, clock } = await reporting(t, { reporter: { batchSize: 3 } });
  for (const id of ["a", "b", "c", "d", "e", "f", "g"]) {
    await sent(id);
    await clock.advance(1);
  }
  await passes();
  assert.deepEqual(posted(), [["a", "b", "c"], ["d", "e", "f"], ["g"]]);
  assert.equal(client.open.max, 1);
});

test("a trickle is gathered: one call in 200 ms, and no report later than that", async (t) => {
  const { sent, pass, passes, posted } = await reporting(t);
  await sent("a");
  await passes();
  await sent("b");
  assert.equal(await pass(), 200);
  await sent("c");
  await passes(200);
  assert.deepEqual(posted(), [["a"], ["b", "c"]]);
});

test("the client may hand over messages from inside the call", async (t) => {
  const { sent, passes, posted, client, store, clock, settle } = await reporting(t);
  await sent("a");
  client.answer = async () => {
    const message = aCheckedMessage({ id: `inside-${client.calls.length}`, accountId: "account-1" });
    const answers = await store.messages.enqueue([message], clock.now());
    return { body: { ok: answers[0] === "queued" } };
  };
  await passes();
  await settle(SENT);
  await passes(1000);
  assert.deepEqual(posted(), [["a"], ["inside-1"]]);
});

test("an id not found that was accepted lately is reported again after 5, 30 and 120 s", async (t) => {
  const { sent, passes, posted, client, reportedMs } = await reporting(t);
  await sent("known", "unknown");
  client.answer = () => ({ body: { ok: true, not_found: ["unknown", "another's"] } });
  await passes();
  assert.notEqual(await reportedMs("known"), null);
  assert.equal(await reportedMs("unknown"), null);

  for (const seconds of [5, 30, 120]) {
    const before = client.calls.length;
    await passes(seconds * 1000 - 1);
    assert.equal(client.calls.length, before, `not before ${seconds} s`);
    await passes(1);
    assert.deepEqual(posted().at(-1), ["unknown"]);
  }
  assert.notEqual(await reportedMs("unknown"), null, "the client does not know it: that is its answer");
  const { length } = client.calls;
  await passes(250_000);
  assert.equal(client.calls.length, length);
});

test("an id not found is reported again only in the first 10 minutes, and its next state at once", async (t) => {
  const { enqueue, settle, sent, passes, posted, client, clock, reportedMs } = await reporting(t);
  await enqueue("old");
  await settle(deferred(clock.now().steadyMs + 600_000));
  await passes();
  client.answer = (call) => ({ body: { ok: true, not_found: call.body.delivery_report.map(({ id }) => id) } });
  await clock.advance(600_000);
  await settle(SENT);
  await passes();
  assert.notEqual(await reportedMs("old"), null);

  await enqueue("young");
  await settle(deferred(clock.now().steadyMs + 1000));
  await passes(1000);
  await settle(SENT);
  await passes(200);
  assert.deepEqual(posted().slice(-2), [["young"], ["young"]], "a new state does not wait for the 5 s of the old one");
  await sent("other");
});

test("unsent messages survive every purge; final ones go when they are reported and old", async (t) => {
  const { enqueue, enqueueAs, settle, passes, tidy, client, clock, store } = await reporting(t);
  const left = async () => (await store.messages.list({}, null, 100, clock.now())).records.map(({ id }) => id).sort();
  await enqueue("deferred-reported");
  await settle(deferred(clock.now().steadyMs + 100 * DAY_MS));
  await enqueue("sent-reported");
  await settle(SENT);
  await passes();
  client.answer = () => ({ status: 500 });
  await enqueue("sent-unreported");
  await settle(SENT);
  await enqueueAs({ id: "scheduled", deferredMs: clock.now().wallMs + 200 * DAY_MS });
  await enqueue("pending");
  await passes(1000);
  await clock.advance(30 * DAY_MS);

  await tidy({ retentionMs: 0 });
  await tidy({ retentionMs: -1 });
  assert.ok((await left()).includes("sent-reported"), "0 or less keeps them for ever");
  await tidy({ messageMaxAgeMs: 1000 * DAY_MS, retentionMs: 31 * DAY_MS });
  assert.ok((await left()).includes("sent-reported"));
  await tidy({ messageMaxAgeMs: 1000 * DAY_MS, retentionMs: DAY_MS });
  assert.deepEqual(await left(), ["deferred-reported", "pending", "scheduled", "sent-unreported"]);
  await tidy({ messageMaxAgeMs: 1000 * DAY_MS, retentionMs: 1, configured: false });
  assert.deepEqual(await left(), ["deferred-reported", "pending", "scheduled"]);
  await store.messages.purge({ reportedBeforeMs: clock.now().wallMs, endedBeforeMs: clock.now().wallMs });
  assert.deepEqual(await left(), ["deferred-reported", "pending", "scheduled"]);
});

test("what was deferred, reported and then sent is not purged before it is reported as sent", async (t) => {
  const { enqueue, settle, passes, tidy, client, clock, store } = await reporting(t);
  await enqueue("a");
  await settle(deferred(clock.now().steadyMs + 10 * DAY_MS));
  await passes();
  client.answer = () => ({ status: 503 });
  await clock.advance(10 * DAY_MS);
  await settle(SENT);
  await passes();
  await tidy({ retentionMs: DAY_MS });
  assert.notEqual(await store.messages.get("a", clock.now()), null);
});

test("acknowledged but not marked, since the disk refused: it goes again, after a back-off", async (t) => {
  const { sent, pass, passes, reporter, store, posted, reportedMs } = await reporting(t);
  const refusing = () => Promise.reject(new Error("disk full"));
  const of: typeof store.of = (tenant) => {
    const its = store.of(tenant);
    return { ...its, reports: { ...its.reports, acknowledge: refusing } };
  };
  reporter.store = { ...store, of };
  await sent("a");
  await assert.rejects(pass(), /disk full/);
  assert.equal(await pass(), 1000);
  reporter.store = store;
  await passes(1000);
  assert.deepEqual(posted(), [["a"], ["a"]]);
  assert.notEqual(await reportedMs("a"), null);
});
