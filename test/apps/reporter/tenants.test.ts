import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { finished, loseLead, reportAll } from "@async-mail/reporter/desk";
import { eventually, gate } from "../../support/eventually.ts";
import { aCheckedMessage } from "../../support/messages.ts";
import { startSyncClient } from "../../support/sync-client.ts";
import { type Reporting, reporting, type TenantReporting } from "./reporting.ts";

/** A client that answers nothing until the test says so. */
function hanging(t: TestContext) {
  const held = gate();
  t.after(() => held.open());
  const answer = async () => {
    await held.opened;
    return {};
  };
  return { answer, letGo: held.open };
}

/** Calls that each gets when the clock has moved on. */
async function callsAfter({ passes }: Reporting, ms: number, ...tenants: TenantReporting[]): Promise<number[]> {
  const before = tenants.map(({ client }) => client.calls.length);
  await passes(ms);
  return tenants.map(({ client }, index) => client.calls.length - before[index]!);
}

test("a client that hangs and one that fails delay no other's report", async (t) => {
  const { tenant, reporter, desk, clock, log } = await reporting(t);
  const { answer, letGo } = hanging(t);
  const slow = await tenant("slow", { answer });
  const failing = await tenant("failing", { answer: () => ({ status: 500 }) });
  const fine = await tenant("fine");
  for (const one of [slow, failing, fine]) await one.sent("a");

  await reportAll(reporter, desk);
  await Promise.all([slow, failing, fine].map(({ client }) => client.called(1)));
  await eventually(() => fine.reportedMs("a"));
  for (const id of ["b", "c"]) {
    await clock.advance(200);
    await fine.sent(id);
    await reportAll(reporter, desk);
    await eventually(() => fine.reportedMs(id));
  }
  assert.equal(slow.client.open.now, 1, "still under way");
  assert.deepEqual(slow.posted(), [["a"]]);
  assert.deepEqual(fine.posted(), [["a"], ["b"], ["c"]]);
  const failure = log.find(({ event }) => event === "report_failed");
  assert.equal(failure.tenant, "failing");

  letGo();
  await finished(desk);
  assert.notEqual(await slow.reportedMs("a"), null);
  assert.equal(await failing.reportedMs("a"), null);
});

test("a client that hangs delays no other's poll, and gets no second call beside the first", async (t) => {
  const { tenant, reporter, desk, clock } = await reporting(t);
  const { answer, letGo } = hanging(t);
  const slow = await tenant("slow", { answer });
  const fine = await tenant("fine");
  for (const count of [1, 2, 3]) {
    await slow.store.service.runNow();
    await reportAll(reporter, desk);
    await fine.client.called(count);
    await eventually(() => desk.sessions.get("fine")?.underWay === null);
    await clock.advance(300_000);
  }
  letGo();
  await finished(desk);
  assert.equal(slow.client.calls.length, 1);
});

test("two tenants on one host: the one that hangs does not keep the other's connection", async (t) => {
  const { tenant, reporter, desk, clock } = await reporting(t);
  const { answer, letGo } = hanging(t);
  const shared = await startSyncClient({ answer: ({ path }) => (path === "/slow" ? answer() : {}) });
  t.after(() => shared.close());
  const clientBaseUrl = `http://127.0.0.1:${shared.port}`;
  const slow = await tenant("slow", { change: { clientBaseUrl, clientSyncPath: "/slow" } });
  const fine = await tenant("fine", { change: { clientBaseUrl, clientSyncPath: "/fine" } });
  await slow.sent("a");
  await reportAll(reporter, desk);
  await shared.reports(1);
  await desk.sessions.get("fine")?.underWay;
  await clock.advance(200);
  await fine.sent("b");
  await reportAll(reporter, desk);
  await eventually(() => fine.reportedMs("b"));
  assert.equal(await slow.reportedMs("a"), null);
  letGo();
  await finished(desk);
  assert.notEqual(await slow.reportedMs("a"), null);
});

test("each tenant has its own pace: back-off, quiet time, run-now and interval", async (t) => {
  const running = await reporting(t);
  const { tenant, clock } = running;
  const failing = await tenant("failing", { answer: () => "cut" });
  const quiet = await tenant("quiet", {
    answer: () => ({ body: { ok: true, next_sync_after: clock.now().wallMs / 1000 + 3600 } }),
  });
  const fine = await tenant("fine");
  assert.deepEqual(await callsAfter(running, 0, failing, quiet, fine), [1, 1, 1]);
  assert.deepEqual(await callsAfter(running, 1000, failing, quiet, fine), [1, 0, 0]);
  await fine.store.service.runNow();
  assert.deepEqual(await callsAfter(running, 1000, failing, quiet, fine), [0, 0, 1], "a run-now is one tenant's");
  await quiet.store.service.runNow();
  assert.deepEqual(await callsAfter(running, 0, failing, quiet, fine), [0, 0, 0], "a quiet time holds against it");
  await failing.store.service.runNow();
  assert.deepEqual(await callsAfter(running, 0, failing, quiet, fine), [1, 0, 0], "a back-off does not");
  const [, ...others] = await callsAfter(running, 300_000, failing, quiet, fine);
  assert.deepEqual(others, [0, 1]);
  await quiet.sent("a");
  const [, quietCalls] = await callsAfter(running, 0, failing, quiet, fine);
  assert.equal(quietCalls, 1, "a report does not wait for the end of the quiet time");
});

test("a report that fails alone is set aside in its tenant only", async (t) => {
  const { tenant, passes } = await reporting(t);
  const failing = await tenant("failing", { answer: () => ({ status: 422 }) });
  const fine = await tenant("fine");
  await failing.sent("same");
  await fine.sent("same");
  await passes();
  assert.notEqual(await fine.reportedMs("same"), null);
  assert.equal(await failing.reportedMs("same"), null);
});

test("what another tenant hands over meanwhile is not news of this one's client", async (t) => {
  const running = await reporting(t);
  const other = await running.tenant("other");
  const one = await running.tenant("one", {
    answer: async () => {
      await other.store.messages.enqueue([aCheckedMessage({ accountId: "account-1" })], running.clock.now());
      return { body: { ok: true, queued: 1 } };
    },
  });
  assert.deepEqual(await callsAfter(running, 0, one), [1]);
  assert.deepEqual(await callsAfter(running, 999, one), [0]);
  assert.deepEqual(await callsAfter(running, 1, one), [1]);
});

test("more_messages is a run-now of the tenant alone", async (t) => {
  const running = await reporting(t);
  const one = await running.tenant("one", { answer: () => ({ body: { ok: true, more_messages: true } }) });
  const other = await running.tenant("other");
  const before = await other.store.service.runNowCount();
  assert.deepEqual(await callsAfter(running, 0, one, other), [1, 1]);
  assert.equal(await other.store.service.runNowCount(), before);
  assert.notEqual(await one.store.service.runNowCount(), 0);
  assert.deepEqual(await callsAfter(running, 1000, one, other), [1, 0]);
});

for (const [name, end] of [
  [
    "suspended",
    ({ store }: TenantReporting, { clock }: Reporting) => store.service.suspend(null, "admin", clock.now()),
  ],
  ["not active", (_, { store, clock }) => store.tenants.change("one", { active: false }, clock.now())],
  ["deleted", (_, { store, clock }) => store.tenants.remove("one", clock.now())],
] as [string, (tenant: TenantReporting, running: Reporting) => Promise<unknown>][]) {
  test(`a tenant that is ${name} is reported to, and not polled`, async (t) => {
    const running = await reporting(t);
    const one = await running.tenant("one");
    await one.sent("a");
    await end(one, running);
    await running.passes();
    assert.deepEqual(one.posted(), [["a"]]);
    if (name === "deleted") await assert.rejects(one.store.service.runNow(), { name: "TenantGone" });
    else await one.store.service.runNow();
    assert.deepEqual(await callsAfter(running, 600_000, one), [0]);
  });
}

test("a deleted tenant's unsent messages are reported as errors; then it is gone, and its session too", async (t) => {
  const running = await reporting(t);
  const { tenant, store, clock, passes, tidy, desk } = running;
  const one = await tenant("one");
  await passes();
  assert.ok(desk.sessions.has("one"));
  await one.store.messages.enqueue([aCheckedMessage({ id: "unsent", accountId: "account-1" })], clock.now());
  await store.tenants.remove("one", clock.now());
  await passes(1000);
  const [item] = await one.client.reports(1);
  assert.equal(item?.id, "unsent");
  assert.equal(item?.error, "tenant deleted");
  await tidy();
  await tidy();
  await passes(1000);
  assert.equal(desk.sessions.has("one"), false);
});

test("a mended password is tried at once, not after the back-off", async (t) => {
  const running = await reporting(t);
  const right = { method: "basic", user: "u", password: "right" } as const;
  const wanted = `Basic ${Buffer.from("u:right").toString("base64")}`;
  const one = await running.tenant("one", {
    change: { clientAuth: { ...right, password: "wrong" } },
    answer: ({ headers }) => ({ body: headers.authorization === wanted ? { ok: true } : { error: "login failed" } }),
  });
  await one.sent("a", "b", "c", "d", "e", "f", "g", "h");
  assert.deepEqual(await callsAfter(running, 0, one), [1]);
  assert.deepEqual(await callsAfter(running, 1000, one), [1]);
  assert.deepEqual(await callsAfter(running, 1999, one), [0]);
  assert.equal(await one.reportedMs("a"), null, "200 with an error that is a text acknowledges nothing");
  await running.store.tenants.change("one", { clientAuth: right }, running.clock.now());
  assert.deepEqual(await callsAfter(running, 0, one), [1]);
  assert.notEqual(await one.reportedMs("h"), null);
});

test("a changed endpoint waits for the call under way, whose answer counts", async (t) => {
  const { tenant, store, reporter, desk, clock, passes } = await reporting(t);
  const { answer, letGo } = hanging(t);
  const one = await tenant("one", { answer });
  const moved = await startSyncClient();
  t.after(() => moved.close());
  await one.sent("a");
  await reportAll(reporter, desk);
  await one.client.called(1);
  await store.tenants.change("one", { clientBaseUrl: `http://127.0.0.1:${moved.port}` }, clock.now());
  await one.sent("b");
  await reportAll(reporter, desk);
  assert.equal(moved.calls.length, 0);
  letGo();
  await finished(desk);
  assert.notEqual(await one.reportedMs("a"), null);
  await passes(1000);
  assert.deepEqual(
    moved.calls.map(({ path, body }) => [path, body.delivery_report.map(({ id }) => id)]),
    [["/proxy_sync", ["b"]]],
  );
  assert.notEqual(await one.reportedMs("b"), null);
});

test("losing the lead cuts all calls under way, and each begins anew", async (t) => {
  const { tenant, reporter, desk, passes } = await reporting(t);
  const { answer } = hanging(t);
  const tenants = [await tenant("one", { answer }), await tenant("other", { answer })];
  for (const one of tenants) await one.sent("a");
  await reportAll(reporter, desk);
  for (const { client } of tenants) await client.called(1);
  loseLead(desk);
  await finished(desk);
  for (const one of tenants) {
    assert.equal(await one.reportedMs("a"), null);
    one.client.answer = () => ({});
  }
  await passes();
  for (const one of tenants) assert.notEqual(await one.reportedMs("a"), null);
});

test("default's client is the configuration's, beside those of others: signed, and read by its setting", async (t) => {
  const signingSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const { sent, tenant, passes, client, posted, reportedMs } = await reporting(t, {
    sync: { acknowledge: "status", signingSecret, proxySyncToken: "ours" },
    answer: () => ({ body: {} }),
  });
  const one = await tenant("one", {
    change: { clientAuth: { method: "bearer", token: "theirs" }, clientSyncPath: "/own/path?site=1" },
    answer: () => ({ body: {} }),
  });
  await sent("a");
  await one.sent("b", "c");
  await passes();
  assert.deepEqual([posted(), one.posted()], [[["a"]], [["b", "c"]]]);
  const [ours] = client.calls;
  const [theirs] = one.client.calls;
  assert.equal(ours?.headers.authorization, "Bearer ours");
  assert.equal(theirs?.headers.authorization, "Bearer theirs");
  assert.equal(theirs?.path, "/own/path?site=1");
  assert.notEqual(ours?.headers["webhook-signature"], undefined);
  assert.equal(
    theirs?.headers["webhook-signature"],
    undefined,
    "the secret is between us and the configuration's client",
  );
  assert.notEqual(await reportedMs("a"), null);
  assert.equal(await one.reportedMs("b"), null, "an object that says nothing acknowledges nothing");
});

test("default has its own client where it has been given one; without any, nobody is called", async (t) => {
  const { sent, passes, client, store, clock, reportedMs, reporter, desk } = await reporting(t);
  const own = await startSyncClient();
  t.after(() => own.close());
  reporter.configured = null;
  await sent("a");
  assert.equal(await passes(), 1000);
  assert.equal(desk.sessions.size, 0);
  await store.tenants.change("default", { clientBaseUrl: `http://127.0.0.1:${own.port}` }, clock.now());
  await passes();
  assert.notEqual(await reportedMs("a"), null);
  assert.deepEqual([client.calls.length, own.calls.length], [0, 1]);
});

test("no redirect of a tenant's client is followed", async (t) => {
  const { tenant, passes, client } = await reporting(t);
  const one = await tenant("one", {
    change: { clientAuth: { method: "bearer", token: "secret" } },
    answer: () => ({ status: 307, headers: { location: client.url }, body: { ok: true } }),
  });
  await one.sent("a", "b");
  await passes();
  assert.equal(one.client.calls.length, 1);
  assert.equal(client.calls.filter(({ headers }) => headers.authorization !== undefined).length, 0);
  assert.equal(await one.reportedMs("a"), null);
});

test("a link-local or metadata address is not called, and a reason names no address that was not configured", async (t) => {
  const { tenant, passes, log } = await reporting(t);
  await tenant("metadata", { change: { clientBaseUrl: "http://169.254.169.254" } });
  const closed = await startSyncClient();
  await closed.close();
  await tenant("closed", { change: { clientBaseUrl: `http://localhost:${closed.port}` } });
  await passes();
  const reasons = Object.fromEntries(
    log.filter(({ event }) => event === "report_failed").map(({ tenant: id, reason }) => [id, reason]),
  );
  assert.equal(reasons.metadata, "169.254.169.254: its address may not be reached");
  assert.match(reasons.closed, /ECONNREFUSED/);
  assert.doesNotMatch(reasons.closed, /127\.0\.0\.1|::1/);
});

test("what came of the last call is kept, for people", async (t) => {
  const { tenant, store, clock, passes, reporter } = await reporting(t);
  await tenant("fine");
  await tenant("failing", { answer: () => ({ status: 503, headers: { "retry-after": "60" } }) });
  await passes();
  const status = await store.tenants.syncStatus(clock.now());
  const of = (id: string) => status.find((one) => one.id === id);
  const nowMs = clock.now().wallMs;
  assert.deepEqual(
    [of("fine")?.outcome, of("fine")?.lastCallMs, of("fine")?.nextDueMs],
    ["ok", nowMs, nowMs + reporter.intervalMs],
  );
  assert.deepEqual(
    [of("failing")?.outcome, of("failing")?.lastCallMs, of("failing")?.nextDueMs],
    ["HTTP 503", nowMs, nowMs + 60_000],
  );
});

test("a tenant that cannot be read keeps no other from its reports", async (t) => {
  const { tenant, passes, store, reporter } = await reporting(t);
  const broken = await tenant("broken");
  const fine = await tenant("fine");
  await broken.sent("a");
  await fine.sent("b");
  const of: typeof store.of = (name) => {
    const its = store.of(name);
    const client = () => Promise.reject(new Error("malformed"));
    return name === "broken" ? { ...its, reports: { ...its.reports, client } } : its;
  };
  reporter.store = { ...store, of };
  await assert.rejects(passes(), /malformed/);
  assert.notEqual(await fine.reportedMs("b"), null);
  reporter.store = store;
  await passes(1000);
  assert.notEqual(await broken.reportedMs("a"), null);
});

test("an idle pass over many tenants asks nothing of each", async (t) => {
  const { store, clock, pass, passes, reporter, client } = await reporting(t);
  const change = { clientBaseUrl: `http://127.0.0.1:${client.port}` };
  for (let i = 0; i < 50; i++) await store.tenants.put(`tenant-${i}`, change, `hash ${i}`, clock.now());
  await passes();
  assert.equal(client.calls.length, 51);
  let asked = 0;
  const of: typeof store.of = (name) => {
    asked += 1;
    return store.of(name);
  };
  reporter.store = { ...store, of };
  assert.equal(await pass(), 1000);
  await clock.advance(100_000);
  assert.equal(await pass(), 1000);
  assert.equal(asked, 0);
});

test("with many calls under way each posts less, and all is reported", async (t) => {
  const { store, tenant, pass, passes } = await reporting(t, { reporter: { batchSize: 4 } });
  const ids = ["a", "b", "c", "d"];
  const tenants: TenantReporting[] = [];
  for (let i = 0; i < 20; i++) tenants.push(await tenant(`tenant-${i}`));
  for (const one of tenants) await one.sent(...ids);
  await pass();
  const first = tenants.map((one) => one.posted()[0]!.length).sort();
  assert.deepEqual([first[0], first.at(-1)], [2, 4]);
  await passes();
  for (const one of tenants) for (const id of ids) assert.notEqual(await one.reportedMs(id), null);
  assert.equal((await store.tenants.clients()).filter(({ nextReportMs }) => nextReportMs !== null).length, 0);
});
