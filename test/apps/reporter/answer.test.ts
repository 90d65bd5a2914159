import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SyncAnswer } from "../../support/sync-client.ts";
import { reporting } from "./reporting.ts";

/** Contract §4.3, from a real endpoint to the row. */
const acknowledges: Record<string, SyncAnswer> = {
  "204": { status: 204 },
  "204 even where a body was meant": { status: 204, body: { ok: false } },
  "an empty body": { rawBody: "" },
  "201 with an empty body": { status: 201, rawBody: "" },
  "ok true": { body: { ok: true } },
  "ok true and text": { body: { ok: true, message: "thanks" } },
  "ok true with an error that is a list": { body: { ok: true, error: [] } },
  "a list of errors": { body: { error: ["x"] } },
  "a list of unknown ids": { body: { not_found: [] } },
  "a number queued": { body: { queued: 0 } },
  "a number sent": { body: { sent: 1 } },
  "a number of errors": { body: { error: 0 } },
  "a number deferred": { body: { deferred: 2 } },
  "the old service's summary": { body: { sent: 1, error: 0, deferred: 0 } },
  "202 with ok true": { status: 202, body: { ok: true } },
};

const fails: Record<string, SyncAnswer> = {
  "500": { status: 500, body: { ok: true } },
  "404": { status: 404 },
  "401": { status: 401 },
  "300": { status: 300, body: { ok: true } },
  "304": { status: 304, rawBody: "" },
  "a redirect": { status: 307, headers: { location: "/elsewhere" }, body: { ok: true } },
  "ok false": { body: { ok: false } },
  "ok false and a number": { body: { ok: false, queued: 3 } },
  "an error that is a text": { body: { error: "database is locked" } },
  "an error that is a text, though ok": { body: { ok: true, error: "no" } },
  "an object that says nothing": { body: {} },
  "a text in ok": { body: { ok: "true" } },
  "a text in queued": { body: { queued: "3" } },
  "a list": { body: [] },
  "a number": { rawBody: "1" },
  null: { rawBody: "null" },
  "a page": { rawBody: "<html>Welcome</html>" },
  "half an object": { rawBody: '{"ok": tr' },
  "a cut connection": "cut",
};

const acknowledgesByStatus: Record<string, SyncAnswer> = {
  "a page": { rawBody: "<html>Welcome</html>" },
  "an object that says nothing": { body: {} },
  "a list": { status: 201, body: [] },
  "ok false": { body: { ok: false } },
  "an error that is a text": { body: { error: "no" } },
};

const failsByStatus: Record<string, SyncAnswer> = {
  "500": { status: 500, body: { ok: true } },
  "a redirect": { status: 302, headers: { location: "/elsewhere" } },
};

const cases = [
  { acknowledge: "body", answers: acknowledges, taken: true },
  { acknowledge: "body", answers: fails, taken: false },
  { acknowledge: "status", answers: { ...acknowledges, ...acknowledgesByStatus }, taken: true },
  { acknowledge: "status", answers: failsByStatus, taken: false },
] as const;

for (const { acknowledge, answers, taken } of cases) {
  describe(`sync.acknowledge = ${acknowledge}: ${taken ? "acknowledged" : "not acknowledged"} by`, () => {
    for (const [name, answer] of Object.entries(answers)) {
      test(name, async (t) => {
        const { sent, pass, client, reportedMs, clock, metric } = await reporting(t, {
          sync: { acknowledge },
          answer: () => answer,
        });
        await sent("a", "b");
        await pass();
        const expected = taken ? clock.now().wallMs : null;
        assert.deepEqual([await reportedMs("a"), await reportedMs("b")], [expected, expected]);
        assert.equal(await metric("reports_posted_total"), taken ? 2 : 0);
        assert.equal(await metric("reports_failed_total"), taken ? 0 : 2);
        assert.equal(client.calls.length, 1, "redirects are not followed");
      });
    }
  });
}

test("a poll is acknowledged by the same rules", async (t) => {
  const { pass, passes, client, store } = await reporting(t, { answer: () => ({ body: {} }) });
  await pass();
  assert.equal((await store.reports.client()).lastCallMs, null);
  client.answer = () => ({ body: { queued: 0 } });
  await passes(1000);
  assert.notEqual((await store.reports.client()).lastCallMs, null);
  assert.deepEqual(
    client.calls.map((call) => call.body.delivery_report),
    [[], []],
  );
});

test("no answer within the time-out acknowledges nothing", async (t) => {
  const { sent, pass, reportedMs, log } = await reporting(t, {
    client: { timeoutMs: 150 },
    answer: () => ({ delayMs: 5000 }),
  });
  await sent("a");
  await pass();
  assert.equal(await reportedMs("a"), null);
  assert.equal(log.at(-1).reason, "no answer within 0.15 s");
});
