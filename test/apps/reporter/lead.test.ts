import assert from "node:assert/strict";
import { test } from "node:test";
import { loseLead } from "@async-mail/reporter/desk";
import { gate } from "../../support/eventually.ts";
import { reporting } from "./reporting.ts";

test("one reporter works, the others stand by, and the next takes over when it leaves", async (t) => {
  const { sent, passes, store, clock, client, reporter, another, reportedMs, pass } = await reporting(t);
  const second = await another();
  const third = await another();
  await sent("a");
  assert.equal(await second.pass(), 1000);
  assert.equal(client.calls.length, 0);
  await passes();
  assert.notEqual(await reportedMs("a"), null);

  await store.processes.leave(reporter.presence.process(), clock.now());
  await sent("b");
  await pass();
  await third.pass();
  assert.equal(await reportedMs("b"), null);
  await second.pass();
  assert.notEqual(await reportedMs("b"), null);
});

test("one struck off stops, although it lives, and what it remembers is read anew when it leads again", async (t) => {
  const { sent, pass, passes, store, clock, client, reporter, another } = await reporting(t);
  await passes();
  const second = await another();
  const first = reporter.presence.process();
  const beat = (await store.processes.list()).find((one) => one.process === first)!.beat;
  assert.ok(await store.processes.strikeOff(first, beat, clock.now()));
  await sent("a");
  assert.equal(await pass(), 1000);
  assert.equal(client.calls.length, 1);

  client.answer = () => ({ body: { ok: true, next_sync_after: clock.now().wallMs / 1000 + 3600 } });
  await second.pass();
  await store.processes.leave(second.presence.process(), clock.now());
  const again = await store.processes.register({ kind: "reporter", pid: 1, host: "test", version: "0" }, clock.now());
  reporter.presence = { process: () => again, stands: () => true };
  const before = client.calls.length;
  await passes(600_000);
  assert.equal(client.calls.length, before, "the other's quiet time holds");
});

test("one that has not beaten lately does not call, since others may have struck it off", async (t) => {
  const { sent, pass, client, reporter, metric } = await reporting(t);
  await sent("a");
  reporter.presence = { ...reporter.presence, stands: () => false };
  await pass();
  assert.equal(client.calls.length, 0);
  assert.equal(await metric("reporter_leading"), 0);
});

test("losing the lead cuts the call under way, and nothing of it is marked", async (t) => {
  const { sent, pass, client, desk, reportedMs, log } = await reporting(t);
  await sent("a");
  const held = gate();
  client.answer = async () => {
    loseLead(desk);
    await held.opened;
    return {};
  };
  await pass();
  held.open();
  assert.equal(await reportedMs("a"), null);
  assert.match(log.at(-1).reason, /cut short/);
  client.answer = () => ({});
  await pass();
  assert.notEqual(await reportedMs("a"), null, "it leads still, so it begins anew");
});

test("the end of the grace cuts the call under way", async (t) => {
  const deadline = new AbortController();
  const { sent, pass, client, reportedMs, log } = await reporting(t, { reporter: { deadline: deadline.signal } });
  await sent("a");
  const held = gate();
  client.answer = async () => {
    deadline.abort();
    await held.opened;
    return {};
  };
  await pass();
  held.open();
  assert.equal(await reportedMs("a"), null);
  assert.match(log.at(-1).reason, /cut short/);
});

test("a lead that is lost between the look and the call leaves no call to be made", async (t) => {
  const { sent, pass, client, desk, reporter, store, reportedMs } = await reporting(t);
  await sent("a");
  const losing: typeof store.tenants.clients = async () => {
    loseLead(desk);
    return store.tenants.clients();
  };
  reporter.store = { ...store, tenants: { ...store.tenants, clients: losing } };
  await pass();
  assert.equal(client.calls.length, 0);
  reporter.store = store;
  await pass();
  assert.notEqual(await reportedMs("a"), null);
});
