import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import test, { after, before } from "node:test";
import { RecordSchema } from "@async-mail/api/record";
import type { Outcome } from "@async-mail/domain/outcome";
import { aMessage, anAccount } from "../../support/messages.ts";
import { REFUSED, type RunningApi, SENT, startApi } from "./running-api.ts";

type Shown = { id: string; priority: number; [field: string]: unknown };

let running: RunningApi;
before(async () => {
  running = await startApi({ env: { PROXY_SYNC_URL: "http://127.0.0.1:9/never-called" } });
});
after(() => running.stop());

const idsOf = (body: { messages: Shown[] }) => body.messages.map(({ id }) => id);

async function report(id: string): Promise<void> {
  const rows = (await running.store.reports.due(1000, running.clock.now())).filter((row) => row.id === id);
  assert.equal(rows.length, 1);
  await running.store.reports.acknowledge(rows, running.clock.now());
}

// ---------------------------------------------------------------- one record

test("a pending record has what is known of it, and nothing null", async () => {
  const message = aMessage({ id: "fresh", cc: ["c@example.org"], headers: { "X-A": "1" }, priority: "high" });
  await running.api.addMessages(message);
  const { status, body, text } = await running.api.get("/messages/fresh");
  assert.equal(status, 200);
  assert.equal(text.includes("null"), false);
  const { created_at, updated_at, message_id, ...shown } = body;
  for (const time of [created_at, updated_at]) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
  assert.match(message_id, /^<[\w.-]+@example\.com>$/);
  assert.deepEqual(shown, {
    ok: true,
    id: "fresh",
    status: "pending",
    priority: 1,
    attempts: 0,
    waiting: { reason: "no dispatcher is running" },
    recipients: [
      { address: "recipient@example.org", outcome: "waiting" },
      { address: "c@example.org", outcome: "waiting" },
    ],
    message: shown.message,
    history: [],
  });
  assert.equal(shown.message.subject, message.subject);
  assert.deepEqual(shown.message.cc, ["c@example.org"]);
});

test("a message deferred by its client is deferred, with when", async () => {
  const ts = Math.floor(running.clock.now().wallMs / 1000) + 600;
  await running.api.addMessages(aMessage({ id: "later", deferred_ts: ts }));
  const { body } = await running.api.get("/messages/later");
  assert.deepEqual([body.status, body.deferred_ts], ["deferred", ts]);
});

test("a sent record says when, with which words, and to whom", async () => {
  await running.api.addMessages(aMessage({ id: "was-sent" }));
  await running.settle("was-sent", SENT);
  const { body } = await running.api.get("/messages/was-sent");
  assert.equal(body.status, "sent");
  assert.ok(Math.abs(body.sent_ts - running.clock.now().wallMs / 1000) < 5);
  assert.equal(body.smtp_response, "250 2.0.0 queued as 4711");
  assert.deepEqual(body.recipients, SENT.kind === "sent" && SENT.recipients);
  assert.equal(body.history.length, 1);
  const { at, claim, ...entry } = body.history[0];
  assert.match(at, /Z$/);
  assert.equal(typeof claim, "number");
  assert.deepEqual([entry.outcome, entry.code], ["sent", 250]);
  for (const absent of ["error", "error_ts", "deferred_ts", "waiting", "reported_ts"])
    assert.equal(absent in body, false, absent);
  await report("was-sent");
  assert.ok((await running.api.get("/messages/was-sent")).body.reported_ts >= body.sent_ts - 1);
});

test("a failed record has its error, together with when", async () => {
  await running.api.addMessages(aMessage({ id: "was-refused" }));
  await running.settle("was-refused", REFUSED);
  const { body } = await running.api.get("/messages/was-refused");
  assert.deepEqual([body.status, body.error], ["error", "550 5.1.1 no such user"]);
  assert.equal(typeof body.error_ts, "number");
});

test("a deferred record says why and until when", async () => {
  await running.api.addMessages(aMessage({ id: "was-deferred" }));
  const untilMs = running.clock.now().steadyMs + 60_000;
  const outcome: Outcome = {
    kind: "deferred",
    class: "retry",
    reason: "retry: 451 4.7.1 try later",
    untilMs,
    countsAttempt: true,
    code: 451,
    response: "451 4.7.1 try later",
    recipients: [{ address: "recipient@example.org", outcome: "waiting", code: 451, response: "451 4.7.1 try later" }],
  };
  await running.settle("was-deferred", outcome);
  const { body } = await running.api.get("/messages/was-deferred");
  assert.deepEqual([body.status, body.deferred_reason, body.attempts], ["deferred", "retry: 451 4.7.1 try later", 1]);
  assert.ok(Math.abs(body.deferred_ts * 1000 - running.clock.now().wallMs - 60_000) < 5000);
  assert.match(body.history[0].until, /Z$/);
});

test("records are what the OpenAPI document says, field by field", async () => {
  const { messages } = (await running.api.get("/messages?limit=1000")).body;
  assert.deepEqual(
    new Set(messages.map(({ status }: Shown) => status)),
    new Set(["pending", "deferred", "sent", "error"]),
  );
  for (const record of messages) assert.equal((await RecordSchema["~standard"].validate(record)).issues, undefined);
});

test("passwords and signatures in URLs of attachments are masked", async () => {
  const attachments = [
    { url: "https://user:pass@files.example.com/a.pdf?X-Amz-Signature=abc#part" },
    { url: "https://files.example.com/plain.pdf" },
  ];
  await running.api.addMessages(aMessage({ id: "with-urls", attachments }));
  const { body } = await running.api.get("/messages/with-urls");
  assert.deepEqual(
    body.message.attachments.map(({ url }: { url: string }) => url),
    ["https://***@files.example.com/a.pdf?***", "https://files.example.com/plain.pdf"],
  );
});

test("an unknown message is a 404", async () => {
  const { status, body } = await running.api.get("/messages/nobody");
  assert.deepEqual([status, body], [404, { ok: false, error: "message not found", detail: "message not found" }]);
});

test("an id of odd letters is found", async () => {
  const id = "a/b?c=d e%20é";
  await running.api.addMessages(aMessage({ id }));
  assert.equal((await running.api.get(`/messages/${encodeURIComponent(id)}`)).body.id, id);
});

// ---------------------------------------------------------------- delete, retry, cleanup

test("delete removes what it finds, names the rest sorted, and leaves what is being sent", async () => {
  await running.api.addMessages(aMessage({ id: "sending", priority: 0 }));
  const claims = await running.claim();
  assert.ok(claims.some(({ id }) => id === "sending"));
  await running.api.addMessages(aMessage({ id: "d1" }), aMessage({ id: "d2" }));

  const ids = ["zzz", "d1", "aaa", "d2", "d1", "sending"];
  const { status, body } = await running.api.post("/commands/delete-messages", { ids });
  assert.equal(status, 200);
  assert.deepEqual(body, { ok: true, removed: 2, not_found: ["aaa", "zzz"], in_flight: ["sending"] });
  assert.equal((await running.api.get("/messages/d1")).status, 404);
  assert.equal((await running.api.get("/messages/sending")).status, 200);

  for (const claim of claims) await running.store.queue.settle(claim, SENT, running.clock.now());
  const after = await running.api.post("/commands/delete-messages", { ids: ["sending"] });
  assert.deepEqual(after.body, { ok: true, removed: 1, not_found: [] });
});

test("retry puts failed messages back, and names the others", async () => {
  await running.api.addMessages(aMessage({ id: "again" }), aMessage({ id: "waiting-already" }));
  await running.settle("again", REFUSED);
  const { status, body } = await running.api.post("/commands/retry-messages", {
    ids: ["nobody", "again", "waiting-already", "again"],
  });
  assert.equal(status, 200);
  assert.deepEqual(body, { ok: true, retried: 1, not_found: ["nobody"], not_failed: ["waiting-already"] });
  const record = (await running.api.get("/messages/again")).body;
  assert.deepEqual([record.status, record.attempts, "error" in record], ["pending", 0, false]);
});

test("cleanup deletes what is final and reported, and with `unreported` what is only final", async () => {
  await running.api.addMessages(...["reported", "unreported", "unsent"].map((id) => aMessage({ id })));
  for (const id of ["reported", "unreported"]) await running.settle(id, SENT);
  await report("reported");
  const cleanup = (body?: object) => running.api.post("/commands/cleanup-messages", body);
  const there = async (id: string) => (await running.api.get(`/messages/${id}`)).status === 200;

  assert.equal((await cleanup()).body.removed, 0, "younger than the retention");
  assert.equal((await cleanup({ older_than_seconds: 3600 })).body.removed, 0);
  const reported = await cleanup({ older_than_seconds: -5 });
  assert.equal(reported.status, 200);
  assert.ok(reported.body.removed >= 1);
  assert.deepEqual([await there("reported"), await there("unreported"), await there("unsent")], [false, true, true]);

  await cleanup({ older_than_seconds: 0, unreported: true });
  assert.deepEqual([await there("unreported"), await there("unsent")], [false, true]);
});

test("without a client, cleanup goes by the age of a message's end", async () => {
  const alone = await startApi();
  await alone.api.addMessages(aMessage({ id: "ended" }), aMessage({ id: "open" }));
  await alone.settle("ended", SENT);
  const { body } = await alone.api.post("/commands/cleanup-messages", { older_than_seconds: 0 });
  assert.deepEqual(body, { ok: true, removed: 1 });
  assert.equal((await alone.api.get("/messages/open")).status, 200);
  await alone.stop();
});

// ---------------------------------------------------------------- lists

test("lists are by priority, then age, and filtered by status, account and activity", async () => {
  const listing = await startApi();
  await listing.api.post("/account", anAccount({ id: "other" }));
  await listing.api.addMessages(
    aMessage({ id: "low", priority: 3 }),
    aMessage({ id: "old", priority: 1 }),
    aMessage({ id: "young", priority: 1 }),
    aMessage({ id: "now", priority: 0 }),
    aMessage({ id: "elsewhere", priority: 2, account_id: "other" }),
    aMessage({ id: "later", priority: 2, deferred_ts: Math.floor(listing.clock.now().wallMs / 1000) + 99 }),
  );
  await listing.settle("now", SENT);
  await listing.settle("old", REFUSED);
  const list = async (query: string) => idsOf((await listing.api.get(`/messages${query}`)).body);

  for (const limit of ["", "limit=100"]) {
    const [all, more] = [limit && `?${limit}`, limit && `&${limit}`];
    assert.deepEqual(await list(all), ["now", "old", "young", "elsewhere", "later", "low"]);
    assert.deepEqual(await list(`?status=sent${more}`), ["now"]);
    assert.deepEqual(await list(`?status=error${more}`), ["old"]);
    assert.deepEqual(await list(`?status=deferred${more}`), ["later"]);
    assert.deepEqual(await list(`?status=pending${more}`), ["young", "elsewhere", "low"]);
    assert.deepEqual(await list(`?active_only=true${more}`), ["young", "elsewhere", "later", "low"]);
    assert.deepEqual(await list(`?active_only=false&status=sent${more}`), ["now"]);
    assert.deepEqual(await list(`?account_id=other${more}`), ["elsewhere"]);
    assert.deepEqual(await list(`?account_id=nobody${more}`), []);
  }
  await listing.stop();
});

test("pages follow one another by cursor, also while messages come and go", async () => {
  const paging = await startApi();
  const all = Array.from({ length: 25 }, (_, i) => ({ id: `page-${String(i).padStart(2, "0")}`, priority: i % 4 }));
  await paging.api.addMessages(...all.map((one) => aMessage(one)));
  const expected = [...all].sort((a, b) => a.priority - b.priority || a.id.localeCompare(b.id)).map(({ id }) => id);

  const seen: string[] = [];
  let query = "?limit=10";
  for (let page = 0; ; page += 1) {
    const { body } = await paging.api.get(`/messages${query}`);
    assert.ok(body.messages.length <= 10);
    seen.push(...idsOf(body));
    if (body.next_cursor === undefined) break;
    query = `?limit=10&cursor=${body.next_cursor}`;
    // One that was seen goes, and one comes before all that follows: neither moves the next page.
    await paging.api.post("/commands/delete-messages", { ids: [seen[0]] });
    await paging.api.addMessages(aMessage({ id: `intruder-${page}`, priority: 0 }));
  }
  assert.deepEqual(seen, expected);
  await paging.stop();
});

test("a page of large messages streams too, in memory that does not grow with it", async () => {
  const paging = await startApi();
  const [COUNT, LIMIT] = [320, 300];
  const html = "x".repeat(1_000_000);
  for (let at = 0; at < COUNT; at += 20) {
    await paging.api.addMessages(...Array.from({ length: 20 }, (_, i) => aMessage({ id: `large-${at + i}`, html })));
  }
  const before = await residentBytes(paging);
  const socket = connect(Number(new URL(paging.url).port), "127.0.0.1");
  socket.write(`GET /messages?limit=${LIMIT} HTTP/1.1\r\nhost: x\r\nx-api-token: test-token\r\n\r\n`);
  const [first] = await once(socket, "data");
  assert.match(String(first), /^HTTP\/1.1 200/);
  // The client does not read on.
  socket.pause();
  const stalled = await residentBytes(paging);
  socket.destroy();

  const page = await paging.api.get(`/messages?limit=${LIMIT}`);
  assert.equal(page.body.messages.length, LIMIT);
  assert.equal(page.body.ok, true);
  const grown = Math.round((Math.max(stalled, await residentBytes(paging)) - before) / 1e6);
  // What V8 has not collected yet is some 100 MB on a busy machine.
  assert.ok(grown < 200, `grew by ${grown} MB for a page of ${Math.round(page.text.length / 1e6)} MB`);
  const last = (await paging.api.get(`/messages?limit=${LIMIT}&cursor=${page.body.next_cursor}`)).body;
  assert.equal("next_cursor" in last, false);
  assert.equal(new Set([...idsOf(page.body), ...idsOf(last)]).size, COUNT);
  await paging.stop();
});

test("without limit all rows stream, whole JSON, in memory that does not grow with them", async () => {
  const streaming = await startApi();
  const COUNT = 1500;
  const body = "x".repeat(40_000);
  for (let at = 0; at < COUNT; at += 500) {
    await streaming.api.addMessages(...Array.from({ length: 500 }, (_, i) => aMessage({ id: `s-${at + i}`, body })));
  }
  const before = await residentBytes(streaming);

  const socket = connect(Number(new URL(streaming.url).port), "127.0.0.1");
  socket.write("GET /messages HTTP/1.1\r\nhost: x\r\nx-api-token: test-token\r\nconnection: close\r\n\r\n");
  const [first] = await once(socket, "data");
  assert.match(String(first), /^HTTP\/1.1 200/);
  assert.doesNotMatch(String(first), /content-length/i);
  // The client does not read on: what is read from the file must not pile up in the process.
  socket.pause();
  const stalled = await residentBytes(streaming);
  assert.equal((await streaming.api.get("/status")).status, 200);
  socket.destroy();

  let done = false;
  const listed = streaming.api.get("/messages").finally(() => {
    done = true;
  });
  let others = 0;
  while (!done) {
    await streaming.api.get("/livez");
    others += 1;
  }
  const answer = await listed;
  assert.equal(answer.status, 200);
  assert.ok(others > 5, `${others} other requests were answered meanwhile`);
  assert.ok(answer.text.length > COUNT * body.length);
  assert.equal(new Set(idsOf(answer.body)).size, COUNT);
  const after = await residentBytes(streaming);
  const grown = Math.round((Math.max(stalled, after) - before) / 1e6);
  assert.ok(grown < 100, `grew by ${grown} MB for an answer of ${Math.round(answer.text.length / 1e6)} MB`);
  await streaming.stop();
  // The list that was not read to its end is nobody's fault.
  const lines = streaming.proc.stdout().trim().split("\n");
  assert.deepEqual(
    lines.filter((line) => !line.startsWith("{") || line.includes('"failed"')),
    [],
  );
  assert.equal(streaming.proc.stderr(), "");
});

async function residentBytes({ api }: RunningApi): Promise<number> {
  const { text } = await api.get("/metrics");
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1]);
}
