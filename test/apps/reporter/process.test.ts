import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import { bootReading, createClock } from "@async-mail/runtime/clock";
import { openedAt } from "../../support/database.ts";
import { eventually, gate } from "../../support/eventually.ts";
import { aCheckedAccount, aCheckedMessage } from "../../support/messages.ts";
import { type Proc, startProcess } from "../../support/processes.ts";
import { type SyncAnswer, startSyncClient } from "../../support/sync-client.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { SENT } from "./reporting.ts";

const CONFIG = "[delivery]\nlease_seconds = 2\nshutdown_grace_seconds = 3\n";

/** A file on which this test is the dispatcher, and reporters as processes. */
async function service(t: TestContext) {
  const folder = temporaryFolder();
  const boot = bootReading();
  const store = await openedAt(join(folder, "mail.db"), boot);
  const clock = createClock(store.steadyOffsetMs);
  const client = await startSyncClient();
  const started: Proc[] = [];
  t.after(async () => {
    for (const proc of started) proc.kill("SIGKILL");
    await client.close();
    await store.close();
  });
  const dispatcher = await store.processes.register(
    { kind: "dispatcher", pid: 1, host: "t", version: "0" },
    clock.now(),
  );
  await store.of(DEFAULT_TENANT).accounts.put(aCheckedAccount(), { keepPassword: false }, clock.now());

  return {
    store,
    clock,
    client,
    async reporter(env: Record<string, string> = {}) {
      const proc = await startProcess("reporter", {
        folder,
        config: CONFIG,
        env: { PROXY_SYNC_URL: client.url, ...env },
      });
      started.push(proc);
      await proc.logged("started");
      return proc;
    },
    /** Another tenant, with an endpoint of its own. */
    async tenant(id: string, answer: () => SyncAnswer | Promise<SyncAnswer>) {
      const its = await startSyncClient({ answer });
      t.after(() => its.close());
      const clientBaseUrl = `http://127.0.0.1:${its.port}`;
      await store.tenants.put(id, { clientBaseUrl }, `hash of ${id}`, clock.now());
      await store.of(id).accounts.put(aCheckedAccount(), { keepPassword: false }, clock.now());
      return its;
    },
    async sent(id: string, tenant = DEFAULT_TENANT) {
      await store.of(tenant).messages.enqueue([aCheckedMessage({ id, accountId: "account-1" })], clock.now());
      const request = {
        process: dispatcher,
        slots: 10,
        capacity: 10,
        bytes: 1e6,
        held: new Map(),
        maxConnectionsPerAccount: 10,
      };
      const answer = await store.queue.claimDue(request, clock.now());
      assert.equal(answer.kind, "claimed");
      if (answer.kind === "claimed") {
        for (const claim of answer.claims) await store.queue.settle(claim, SENT, clock.now());
      }
    },
    reportedMs: async (id: string) => (await store.of(DEFAULT_TENANT).messages.get(id, clock.now()))?.reportedMs,
  };
}

test("a process reports within about a second of the end, and stops with 0", async (t) => {
  const { reporter, client, sent, reportedMs } = await service(t);
  const proc = await reporter();
  await client.called(1);
  const startedMs = performance.now();
  await sent("a");
  const [item] = await client.reports(1);
  const ms = performance.now() - startedMs;
  assert.equal(item?.id, "a");
  // About a second; a poll, which would bring it too, comes after 300.
  assert.ok(ms < 10_000, `${ms} ms`);
  await eventually(() => reportedMs("a"));

  const answer = await fetch(`${await proc.listening()}/metrics`, { headers: { "x-api-token": "test-token" } });
  const text = await answer.text();
  assert.match(text, /^asyncmail_reports_posted_total(\{.*\})? 1$/m);
  assert.match(text, /^asyncmail_reporter_leading(\{.*\})? 1$/m);
  assert.equal((await fetch(`${await proc.listening()}/readyz`)).status, 200);
  assert.deepEqual(await proc.stop(), { code: 0, signal: null });
});

test("allow_anonymous: metrics ask for no token", async (t) => {
  const { reporter } = await service(t);
  const guarded = await reporter();
  assert.equal((await fetch(`${await guarded.listening()}/metrics`)).status, 401);
  const open = await reporter({ ALLOW_ANONYMOUS: "true" });
  assert.equal((await fetch(`${await open.listening()}/metrics`)).status, 200);
});

test("without a token it listens on loopback only, wherever the api does", async (t) => {
  const { reporter } = await service(t);
  const proc = await reporter({ API_TOKEN: "", HOST: "0.0.0.0" });
  const url = await proc.listening();
  assert.equal((await fetch(`${url}/metrics`)).status, 200);
  // All of 127/8 is loopback, but only 127.0.0.1 was bound: a wildcard socket would answer here.
  await assert.rejects(fetch(`${url.replace("127.0.0.1", "127.0.0.2")}/livez`));
});

test("SIGTERM during a call: it is finished and marked, and no other begins", async (t) => {
  const { reporter, client, sent, reportedMs } = await service(t);
  const held = gate();
  client.answer = async () => {
    await held.opened;
    return { body: { ok: true, queued: 1 } };
  };
  await sent("a");
  const proc = await reporter();
  await client.called(1);
  proc.kill("SIGTERM");
  await proc.logged("stopping");
  held.open();
  assert.deepEqual(await proc.exited(), { code: 0, signal: null });
  assert.notEqual(await reportedMs("a"), null);
  assert.equal(client.calls.length, 1);
});

test("a call that outlasts the grace: exit 1, and the report goes again", async (t) => {
  const { reporter, client, sent, reportedMs } = await service(t);
  const held = gate();
  t.after(() => held.open());
  client.answer = async () => {
    await held.opened;
    return {};
  };
  await sent("a");
  const proc = await reporter();
  await client.called(1);
  proc.kill("SIGTERM");
  const { code } = await proc.exited();
  assert.equal(code, 1);
  assert.equal(await reportedMs("a"), null);
  client.answer = () => ({});
  await reporter();
  await eventually(() => reportedMs("a"));
});

test("the leader dies by SIGKILL: the one that stands by takes over after the lease", async (t) => {
  const { reporter, client, sent, reportedMs } = await service(t);
  const first = await reporter();
  const second = await reporter();
  await sent("a");
  await eventually(() => reportedMs("a"));
  first.kill("SIGKILL");
  await first.exited();
  await sent("b");
  await eventually(() => reportedMs("b"), 15_000);
  assert.equal(client.open.max, 1);
  assert.ok(second.log.some((line) => line.event === "struck_off"));
});

test("without proxy_sync_url nothing is posted, and the process keeps house", async (t) => {
  const { reporter, client, sent, store, clock } = await service(t);
  await sent("a");
  await reporter({ PROXY_SYNC_URL: "", DELIVERY_REPORT_RETENTION_SECONDS: "0.01" });
  await eventually(async () => (await store.of(DEFAULT_TENANT).messages.get("a", clock.now())) === null, 15_000);
  assert.equal(client.calls.length, 0);
});

test("beside a client that hangs and one that fails, a third tenant's reports come as if it were alone", async (t) => {
  const { reporter, tenant, sent } = await service(t);
  const held = gate();
  t.after(() => held.open());
  const slow = await tenant("slow", async () => {
    await held.opened;
    return {};
  });
  const failing = await tenant("failing", () => ({ status: 500 }));
  const fine = await tenant("fine", () => ({}));
  const proc = await reporter({ PROXY_SYNC_URL: "" });
  await Promise.all([slow, failing, fine].map((client) => client.called(1)));
  const latencies: number[] = [];
  for (const [index, id] of ["a", "b", "c"].entries()) {
    const startedMs = performance.now();
    await sent(id, "failing");
    await sent(id, "fine");
    await fine.reports(index + 1);
    latencies.push(performance.now() - startedMs);
  }
  // About a second each; the hanging call would keep it for 120.
  assert.ok(Math.max(...latencies) < 10_000, `${latencies} ms`);
  assert.deepEqual([slow.calls.length, slow.open.now], [1, 1], "still under way");
  held.open();
  assert.deepEqual(await proc.stop(), { code: 0, signal: null });
});
