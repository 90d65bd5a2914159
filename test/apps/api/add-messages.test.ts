import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { aMessage, anAccount } from "../../support/messages.ts";
import { REFUSED, type RunningApi, SENT, startApi } from "./running-api.ts";

let running: RunningApi;
before(async () => {
  running = await startApi();
  await running.api.post("/account", anAccount({ id: "known" }));
});
after(() => running.stop());

const add = (...messages: unknown[]) => running.api.post("/commands/add-messages", { messages });

test("what is accepted is queued and stored", async () => {
  const { status, body } = await add(aMessage({ id: "a1" }), aMessage({ id: "a2", account_id: "known" }));
  assert.equal(status, 200);
  assert.deepEqual(body, { ok: true, queued: 2, rejected: [] });
  assert.equal((await running.store.messages.get("a2", running.clock.now()))?.accountId, "known");
});

test("an empty list is a success", async () => {
  const { status, body } = await add();
  assert.deepEqual([status, body], [200, { ok: true, queued: 0, rejected: [] }]);
});

const refusals: { name: string; message: unknown; id: string | null; reason: string }[] = [
  { name: "no id", message: aMessage({ id: undefined }), id: null, reason: "missing id" },
  { name: "no from", message: aMessage({ id: "r1", from: undefined }), id: "r1", reason: "missing from" },
  { name: "no to", message: aMessage({ id: "r2", to: undefined }), id: "r2", reason: "missing to" },
  { name: "an empty to", message: aMessage({ id: "r3", to: [] }), id: "r3", reason: "missing to" },
  { name: "no subject", message: aMessage({ id: "r4", subject: undefined }), id: "r4", reason: "missing subject" },
  { name: "null subject", message: aMessage({ id: "r5", subject: null }), id: "r5", reason: "missing subject" },
  { name: "a text", message: "hello", id: null, reason: "invalid payload" },
  { name: "a list", message: [], id: null, reason: "invalid payload" },
  { name: "null", message: null, id: null, reason: "invalid payload" },
  {
    name: "an unknown account",
    message: aMessage({ id: "r6", account_id: "nobody" }),
    id: "r6",
    reason: "account not found",
  },
  {
    name: "no address",
    message: aMessage({ id: "r7", to: "x y" }),
    id: "r7",
    reason: 'invalid to: "x y" is not an address',
  },
  {
    name: "a moment that is none",
    message: aMessage({ id: "r8", deferred_ts: "soon" }),
    id: "r8",
    reason: "invalid deferred_ts: not a number",
  },
];

for (const { name, message, id, reason } of refusals) {
  test(`refused alone, ${name}: 400 with the verdict on the whole batch`, async () => {
    const { status, body } = await add(message);
    const rejected = [{ id, reason }];
    const error = "all messages rejected";
    assert.equal(status, 400);
    assert.deepEqual(body, { ok: false, error, rejected, detail: { error, rejected } });
  });
}

test("each refused message stands alone, in the order posted, and is not stored", async () => {
  const good = aMessage({ id: "among-bad" });
  const { status, body } = await add(
    ...refusals.slice(0, 6).map(({ message }) => message),
    good,
    ...refusals.slice(6).map(({ message }) => message),
  );
  assert.equal(status, 200);
  assert.deepEqual(body, { ok: true, queued: 1, rejected: refusals.map(({ id, reason }) => ({ id, reason })) });
  assert.equal((await running.api.get("/messages/r1")).status, 404);
  assert.equal((await running.api.get("/messages/among-bad")).status, 200);
});

test("duplicates within a call and across calls are refused; duplicates alone are a success", async () => {
  const message = aMessage({ id: "twice" });
  const rejected = [{ id: "twice", reason: "duplicate id" }];
  assert.deepEqual((await add(message, message)).body, { ok: true, queued: 1, rejected });
  const again = await add(message);
  assert.deepEqual([again.status, again.body], [200, { ok: true, queued: 0, rejected }]);
});

test("duplicates and others refused together are a 400", async () => {
  await add(aMessage({ id: "once" }));
  const { status, body } = await add(aMessage({ id: "once" }), null);
  assert.equal(status, 400);
  assert.deepEqual(body.rejected, [
    { id: "once", reason: "duplicate id" },
    { id: null, reason: "invalid payload" },
  ]);
});

test("an id that ended in error is accepted again, with its history and Message-ID; a sent one is a duplicate", async () => {
  await add(aMessage({ id: "failed" }), aMessage({ id: "sent" }));
  const before = await running.api.get("/messages/failed");
  await running.settle("failed", REFUSED);
  await running.settle("sent", SENT);
  assert.equal((await running.api.get("/messages/failed")).body.status, "error");

  const { body } = await add(aMessage({ id: "failed", subject: "again" }), aMessage({ id: "sent" }));
  assert.deepEqual(body, { ok: true, queued: 1, rejected: [{ id: "sent", reason: "duplicate id" }] });
  const afresh = (await running.api.get("/messages/failed")).body;
  assert.equal(afresh.status, "pending");
  assert.equal(afresh.error, undefined);
  assert.equal(afresh.message.subject, "again");
  assert.equal(afresh.message_id, before.body.message_id);
  assert.equal(afresh.history.length, 1);
});

test("1000 messages are taken at once, 1001 are not", async () => {
  const thousand = Array.from({ length: 1000 }, (_, i) => aMessage({ id: `bulk-${i}` }));
  const started = performance.now();
  const taken = await add(...thousand);
  assert.deepEqual(taken.body, { ok: true, queued: 1000, rejected: [] });
  assert.ok(performance.now() - started < 5000);

  const { status, body } = await add(...thousand, aMessage());
  const error = "Cannot enqueue more than 1000 messages at once";
  assert.equal(status, 400);
  assert.deepEqual(body, { ok: false, error, detail: { error, rejected: null } });
});

test("without a default account a message must name one", async () => {
  const bare = await startApi({ env: { SMTP_HOST: "", SMTP_PORT: "" } });
  const { status, body } = await bare.api.addMessages(aMessage({ id: "homeless" }));
  assert.equal(status, 400);
  assert.deepEqual(body.rejected, [{ id: "homeless", reason: "missing account configuration" }]);
  await bare.stop();
});

const priorities: { given: unknown; byCall?: unknown; stored: number }[] = [
  { given: undefined, stored: 2 },
  { given: undefined, byCall: "high", stored: 1 },
  { given: undefined, byCall: 3, stored: 3 },
  { given: undefined, byCall: null, stored: 2 },
  { given: 0, byCall: 3, stored: 0 },
  { given: "Immediate", stored: 0 },
  { given: "3", stored: 3 },
  { given: 9, stored: 3 },
  { given: -1, stored: 0 },
];
for (const [i, { given, byCall, stored }] of priorities.entries()) {
  test(`priority ${given} in a call of ${byCall} is stored as ${stored}`, async () => {
    const messages = [aMessage({ id: `priority-${i}`, priority: given })];
    const { status } = await running.api.post("/commands/add-messages", { messages, default_priority: byCall });
    assert.equal(status, 200);
    assert.equal((await running.api.get(`/messages/priority-${i}`)).body.priority, stored);
  });
}

test("unknown fields are named, with what may have been meant, once for all messages that have them", async () => {
  const odd = (id: string) => aMessage({ id, subjcet: "typo" });
  const { status, body } = await running.api.post("/commands/add-messages", {
    messages: [odd("odd-1"), odd("odd-2"), odd("odd-3")],
    default_priorty: 1,
  });
  assert.equal(status, 200);
  assert.deepEqual(body.warnings, [
    'unknown field "default_priorty", did you mean "default_priority"?',
    'unknown field "subjcet", did you mean "subject"? (message odd-1 and 2 more)',
  ]);
});

test("a header that the service owns is ignored with a warning", async () => {
  const { body } = await add(aMessage({ id: "owned", headers: { Subject: "other", "X-Mine": "yes" } }));
  assert.equal(body.queued, 1);
  assert.equal(body.warnings.length, 1);
  assert.match(body.warnings[0], /Subject.*\(message owned\)$/i);
});

test("what cannot be read as a call is a 422 without `rejected`", async () => {
  for (const body of [
    {},
    { messages: null },
    { messages: {} },
    { messages: [aMessage()], default_priority: "urgent" },
  ]) {
    const answer = await running.api.post("/commands/add-messages", body);
    assert.equal(answer.status, 422);
    assert.equal("rejected" in answer.body, false);
  }
});

test("inline content is shown by its size", async () => {
  const content = Buffer.alloc(100_000, 7).toString("base64");
  await add(aMessage({ id: "inline", attachments: [{ filename: "a.bin", content }] }));
  const { body } = await running.api.get("/messages/inline");
  assert.deepEqual(body.message.attachments, [{ filename: "a.bin", size: 100_000 }]);
});

test("many clients at once are answered, each for its own", async () => {
  const answers = await Promise.all(
    Array.from({ length: 300 }, (_, i) =>
      add(aMessage({ id: `many-${i}` }), i % 3 === 0 ? null : aMessage({ id: `more-${i}` })),
    ),
  );
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  assert.equal(
    answers.reduce((sum, { body }) => sum + body.queued, 0),
    500,
  );
});
