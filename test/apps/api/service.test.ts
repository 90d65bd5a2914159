import assert from "node:assert/strict";
import { once } from "node:events";
import { statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { aMessage, anAccount } from "../../support/messages.ts";
import { type RunningApi, startApi } from "./running-api.ts";

const TAKER = { process: 1, maxConnectionsPerAccount: 5 };

let running: RunningApi;
before(async () => {
  running = await startApi();
});
after(() => running.stop());

test("status tells the switch, the backlog and the processes", async () => {
  await running.api.addMessages(aMessage(), aMessage());
  const { status, body } = await running.api.get("/status");
  assert.equal(status, 200);
  const { processes, version, ...rest } = body;
  assert.deepEqual(rest, { ok: true, active: true, pending_messages: 2 });
  assert.match(version, /^\d+\.\d+\.\d+/);
  const self = processes.find(({ kind }: { kind: string }) => kind === "api");
  assert.deepEqual(Object.keys(self).sort(), ["host", "kind", "pid", "seen_at", "started_at", "version"]);
  assert.equal(self.pid, running.proc.pid);
  assert.match(self.started_at, /Z$/);
  assert.match(self.seen_at, /Z$/);
});

test("run-now in bursts of 200 is cheap and counted", async () => {
  const before = await running.store.service.runNowCount();
  const wal = join(running.proc.folder, "mail.db-wal");
  const grownBy = async (calls: number) => {
    const bytes = statSync(wal).size;
    const answers = await Promise.all(Array.from({ length: calls }, () => running.api.post("/commands/run-now")));
    for (const { status, body } of answers) assert.deepEqual([status, body], [200, { ok: true }]);
    return statSync(wal).size - bytes;
  };
  const one = await grownBy(1);
  const started = performance.now();
  const burst = await grownBy(200);
  const most = (performance.now() - started) / 20 + 2;
  assert.ok((await running.store.service.runNowCount()) > before);
  assert.ok(burst <= most * one, `200 run-now wrote as much as ${burst / one} alone, wanted: at most ${most}`);
});

test("suspend and activate answer the switch, and survive a restart", async () => {
  const first = await startApi();
  const suspended = await first.api.post("/commands/suspend");
  assert.deepEqual([suspended.status, suspended.body], [200, { ok: true, active: false }]);
  await first.api.addMessages(aMessage());
  assert.deepEqual(await first.claim(), []);
  await first.stop();

  const second = await startApi({ folder: first.proc.folder });
  assert.equal((await second.api.get("/status")).body.active, false);
  assert.deepEqual((await second.api.post("/commands/activate")).body, { ok: true, active: true });
  await second.stop();

  // The configuration's switch is only that of the very first start.
  const third = await startApi({ folder: first.proc.folder, env: { SCHEDULER_ACTIVE: "false" } });
  assert.equal((await third.api.get("/status")).body.active, true);
  await third.stop();
});

test("scheduler.active is the first start's switch", async () => {
  const idle = await startApi({ env: { SCHEDULER_ACTIVE: "false" } });
  assert.equal((await idle.api.get("/status")).body.active, false);
  await idle.stop();
});

test("probes", async () => {
  assert.deepEqual((await running.api.get("/health")).body, { status: "ok" });
  assert.deepEqual((await running.api.get("/livez")).body, { ok: true });
  assert.deepEqual((await running.api.get("/readyz")).body, { ok: true });
});

test("a stop lets what is in flight finish, says so at /readyz, takes nothing new, and exits with 0", async () => {
  const stopping = await startApi();
  const port = Number(new URL(stopping.url).port);
  const idle = connect(port, "127.0.0.1");
  idle.write("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
  await once(idle, "data");

  const body = JSON.stringify({ messages: [aMessage({ id: "begun-before-the-stop" })] });
  const begun = connect(port, "127.0.0.1");
  begun.write(
    `POST /commands/add-messages HTTP/1.1\r\nhost: x\r\nx-api-token: test-token\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n{`,
  );
  // Its headers have come once another request on a younger connection is answered.
  await stopping.api.get("/health");
  const idleClosed = once(idle, "close");
  stopping.proc.kill("SIGTERM");
  await stopping.proc.logged("stopping");
  await idleClosed;

  const ready = await stopping.api.get("/readyz");
  assert.deepEqual([ready.status, ready.body.error], [503, "draining"]);
  assert.equal(ready.headers.get("connection"), "close");
  assert.equal((await stopping.api.get("/livez")).status, 200);
  const refused = await stopping.api.addMessages(aMessage());
  assert.deepEqual([refused.status, refused.body.error], [503, "stopping"]);
  assert.ok(refused.headers.has("retry-after"));
  assert.equal("rejected" in refused.body, false);

  begun.write(body.slice(1));
  const [answer] = await once(begun, "data");
  assert.match(String(answer), /^HTTP\/1.1 200[\s\S]*connection: close[\s\S]*"queued":1/i);
  assert.deepEqual(await stopping.proc.exited(3000), { code: 0, signal: null });
  assert.ok(await stopping.store.messages.get("begun-before-the-stop", stopping.clock.now()));
  assert.deepEqual(
    (await stopping.store.processes.list()).filter(({ kind }) => kind === "api"),
    [],
  );
  await stopping.store.close();
});

test("a stop ends a waiting verify at once", async () => {
  const stopping = await startApi();
  await stopping.api.post("/account", anAccount({ id: "a" }));
  const asked = stopping.api.post("/account/a/verify");
  await eventually(() => stopping.store.accounts.takeVerification(TAKER, stopping.clock.now()));
  const exit = stopping.proc.stop(3000);
  assert.deepEqual([(await asked).status, (await asked).body.error], [503, "stopping"]);
  assert.equal((await exit).code, 0);
  await stopping.store.close();
});

test("what is still in flight when the grace runs out is cut, and the exit code says so", async () => {
  const stuck = await startApi({ config: "[delivery]\nshutdown_grace_seconds = 2\n" });
  const begun = connect(Number(new URL(stuck.url).port), "127.0.0.1");
  begun.on("error", () => {});
  begun.write(
    "POST /commands/add-messages HTTP/1.1\r\nhost: x\r\nx-api-token: test-token\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{",
  );
  await stuck.api.get("/health");
  stuck.proc.kill("SIGTERM");
  assert.equal((await stuck.proc.exited(5000)).code, 1);
  await stuck.store.close();
});

test("a port in use is named", async () => {
  const port = new URL(running.url).port;
  await assert.rejects(startApi({ env: { PORT: port } }), new RegExp(`server.port is ${port}, in use`));
});
