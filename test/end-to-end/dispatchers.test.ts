import assert from "node:assert/strict";
import test from "node:test";
import { simpleParser } from "mailparser";
import { eventually } from "../support/eventually.ts";
import { type Service, startService } from "../support/service.ts";
import type { Received } from "../support/smtp-server.ts";

/** Dead processes are found out after this long. */
const shortLease = "[delivery]\nlease_seconds = 2\n";

for (const dispatchers of [1, 2, 4])
  test(`${dispatchers} dispatchers deliver 5000 messages exactly once`, async (t) => {
    const service = await startService({ dispatchers });
    const ids = await post(service, 5000);
    const startedMs = performance.now();
    await service.smtp.received(5000, 240_000);
    await drained(service);
    const seconds = (performance.now() - startedMs) / 1000;
    assert.deepEqual(subjects(service.smtp.messages).toSorted(), ids.toSorted());
    t.diagnostic(`${Math.round(5000 / seconds)} messages a second`);
    assert.deepEqual(new Set(await service.stop()), new Set([0]));
  });

test("what is more urgent goes first, but for the tenth share", async () => {
  const service = await startService({ smtp: { auth: "hidden" } });
  await service.api.post("/account", {
    id: "narrow",
    host: service.smtp.host,
    port: service.smtp.port,
    security: "none",
    max_connections: 1,
  });
  await service.api.post("/commands/suspend");
  // The least urgent are the oldest.
  for (const priority of [3, 2, 1, 0]) {
    await post(
      service,
      100,
      { account_id: "narrow", priority, headers: { "X-Urgency": String(priority) } },
      `p${priority}`,
    );
  }
  await service.api.post("/commands/activate");
  const received = await service.smtp.received(400, 60_000);
  const urgency = received.map((one) => Number(/^x-urgency: (\d)/im.exec(one.raw.toString())?.[1]));

  // 100 of each and one of ten for the oldest: each urgency is done after 112 more, give or take those composed ahead.
  for (const priority of [0, 1, 2]) {
    const due = Math.ceil(((priority + 1) * 100 * 10) / 9) + 20;
    const done = urgency.lastIndexOf(priority) + 1;
    assert.ok(done <= due, `the last of urgency ${priority} was number ${done}, wanted: at most ${due}`);
  }
  const lastOfAll = urgency.slice(0, 100).filter((priority) => priority === 3).length;
  assert.ok(lastOfAll >= 5 && lastOfAll <= 15, `${lastOfAll} of the oldest were among the first 100, wanted: about 10`);
  assert.deepEqual(await service.stop(), [0, 0, 0]);
});

test("a dispatcher killed while it sends is replaced, and everything arrives", async (t) => {
  const service = await startService({ config: shortLease });
  const victim = service.processes.dispatchers[0];
  assert.ok(victim);
  // Every message takes 20 ms, so that some are surely under way.
  service.smtp.script = { onData: () => pause(20) };
  const ids = await post(service, 1000);
  await service.smtp.received(200, 30_000);
  victim.kill("SIGKILL");
  assert.equal((await victim.exited()).signal, "SIGKILL");
  const before = service.smtp.messages.length;
  service.smtp.script = {};
  await service.addDispatcher();

  await eventually(() => new Set(subjects(service.smtp.messages)).size === ids.length, 60_000, "every message");
  await drained(service);
  const twice = await sentTwice(service.smtp.messages);
  // On its 5 connections, and as many whose outcome waited for the commit that they share.
  assert.ok(twice.length <= 10, `${twice.length} were sent twice, wanted: at most what it had claimed`);
  for (const copies of twice) {
    assert.equal(new Set(copies.map((mail) => mail.messageId)).size, 1, "a second copy has the same Message-ID");
    assert.equal(new Set(copies.map((mail) => mail.date?.getTime())).size, 1, "and the same Date");
  }
  t.diagnostic(`killed after ${before} of ${ids.length}; sent twice: ${twice.length}`);
  await service.stop();
});

test("SIGTERM under load: what is under way is finished, the rest is free at once", async () => {
  // Far longer than this test: nothing may wait for it to lapse.
  const service = await startService({ config: "[delivery]\nlease_seconds = 600\n" });
  const first = service.processes.dispatchers[0];
  assert.ok(first);
  service.smtp.script = { onData: () => pause(20) };
  const ids = await post(service, 1000);
  await service.smtp.received(200, 30_000);
  const exit = await first.stop();
  assert.deepEqual(exit, { code: 0, signal: null });
  await eventually(() => service.smtp.connections.open === 0, 30_000, "the end of its connections");
  const { body } = await service.api.get("/messages?status=sent&limit=1000");
  assert.equal(body.messages.length, service.smtp.messages.length, "what the server took is known as sent");

  service.smtp.script = {};
  await service.addDispatcher();
  await service.smtp.received(1000, 120_000);
  await drained(service);
  assert.deepEqual(subjects(service.smtp.messages).toSorted(), ids.toSorted(), "each once");
  await service.stop();
});

/** Posts them in calls of 1000; answers their ids, which are their subjects too. */
async function post(service: Service, count: number, fields: object = {}, prefix = "m"): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
  for (let from = 0; from < count; from += 1000) {
    const messages = ids.slice(from, from + 1000).map((id) => ({
      id,
      from: "sender@example.com",
      to: `${id}@example.org`,
      subject: id,
      body: `The body of ${id}`,
      ...fields,
    }));
    const { status, body } = await service.api.addMessages(...messages);
    assert.deepEqual({ status, queued: body.queued }, { status: 200, queued: messages.length });
  }
  return ids;
}

function drained(service: Service): Promise<true> {
  const empty = async () => (await service.api.get("/status")).body.pending_messages === 0;
  return eventually(empty, 120_000, "the end of the queue");
}

function subjects(messages: Received[]): string[] {
  return messages.map((one) => /^subject: (.*?)\r$/im.exec(one.raw.toString("latin1"))?.[1] ?? "");
}

async function sentTwice(messages: Received[]) {
  const bySubject = Map.groupBy(messages, (one) => subjects([one])[0]);
  const several = [...bySubject.values()].filter((copies) => copies.length > 1);
  return Promise.all(several.map((copies) => Promise.all(copies.map((one) => simpleParser(one.raw)))));
}

/** The server's own slowness; nobody waits for it. */
function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}
