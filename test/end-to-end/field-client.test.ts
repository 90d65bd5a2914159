import assert from "node:assert/strict";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { simpleParser } from "mailparser";
import { eventually } from "../support/eventually.ts";
import { type FieldClient, type Mail, startFieldClient } from "../support/field-client.ts";
import { type Service, type ServiceOptions, startService } from "../support/service.ts";

/** The field's existing client against the real processes: it works as it is, and never gives up good mail. */

const closing: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

type Running = { service: Service; client: FieldClient; url: string };

async function start(options: ServiceOptions = {}): Promise<Running> {
  const service = await startService(options);
  const url = (await service.processes.api.logged("listening")).url as string;
  const client = await startFieldClient({ service: url, adminToken: "test-token", tenant: "app" });
  closing.push(service.stop, client.close);
  await client.register();
  await client.addAccount(relayOf(service));
  return { service, client, url };
}

/** As the client posts it: with fields that this service does not know. */
function relayOf({ smtp }: Service) {
  return { id: "relay", name: "The relay", host: smtp.host, port: smtp.port, use_tls: false, timeout: 30 };
}

let count = 0;
function aMail(fields: Partial<Mail> = {}): Mail {
  count += 1;
  const id = `mail-${count}`;
  return { id, account_id: "relay", from: "a@x.y", to: "b@x.y", subject: `Mail ${count}`, body: "Hello", ...fields };
}

const all = (client: FieldClient, state: string) => Object.values(client.states()).every((one) => one === state);

test("it registers, loses its key and registers again, and its mail flows as its users expect", async (t) => {
  const { service, client } = await start();
  await client.register();
  // Without a port, as the client leaves empty fields out.
  await client.addAccount({ id: "no-port", host: "127.0.0.1", user: "u", password: "p", name: "x", timeout: 5 });

  const [empty, nobody, sender] = [aMail({ subject: "" }), aMail({ to: [] }), aMail({ from: null })];
  const fine = aMail({ to: ["b@x.y", "c@x.y"], cc: "d@x.y" });
  await client.commit(empty, nobody, sender, fine);
  await service.smtp.received(2);
  await eventually(() => client.outbox.get(fine.id)?.state === "sent", 5000, "the report");
  await eventually(() => client.outbox.get(empty.id)?.state === "sent", 5000, "the report of the empty subject");
  assert.deepEqual(
    [nobody, sender].map(({ id }) => [client.outbox.get(id)?.state, client.outbox.get(id)?.error]),
    [
      ["failed", "missing to"],
      ["failed", "missing from"],
    ],
  );

  const times: number[] = [];
  await Promise.all(
    Array.from({ length: 200 }, async () => {
      const startedMs = performance.now();
      await client.runNow();
      times.push(performance.now() - startedMs);
    }),
  );
  t.diagnostic(`200 run-now at once: the slowest took ${Math.round(Math.max(...times))} ms`);

  const { body } = await client.ask("GET", "/messages?status=sent");
  const records = body.messages as Record<string, unknown>[];
  const shown = records.find(({ id }) => id === fine.id) as Record<string, unknown>;
  const message = shown.message as Record<string, unknown>;
  assert.deepEqual(
    [shown.account_id, shown.priority, message.to, message.subject, message.retry_count, "error" in shown],
    ["relay", 2, ["b@x.y", "c@x.y"], fine.subject, 0, false],
  );
  assert.ok(Number(shown.sent_ts) > 1e9 && Number(shown.reported_ts) > 1e9 && shown.tenant_id === "app");
  for (const status of ["pending", "deferred", "error"])
    assert.equal((await client.ask("GET", `/messages?status=${status}`)).status, 200);

  const later = aMail({ deferred_ts: Math.floor(Date.now() / 1000) + 3600 });
  await client.commit(later);
  await eventually(
    async () => (await client.ask("GET", `/messages/${later.id}`)).status === 200,
    5000,
    "the late mail",
  );
  const deleted = await client.ask("POST", "/commands/delete-messages", { ids: [later.id, "unknown"] });
  assert.deepEqual(deleted.body, { ok: true, removed: 1, not_found: ["unknown"] });
  const cleaned = await client.ask("POST", "/commands/cleanup-messages", { older_than_seconds: 0 });
  assert.equal(cleaned.body.removed, 2);

  const unsent = aMail({ deferred_ts: Math.floor(Date.now() / 1000) + 3600 });
  await client.commit(unsent);
  await eventually(
    async () => (await client.ask("GET", `/messages/${unsent.id}`)).status === 200,
    5000,
    "the last mail",
  );
  assert.equal(await client.unregister(), 200);
  assert.equal((await client.ask("GET", "/messages")).status, 401);
  await eventually(() => client.outbox.get(unsent.id)?.state === "failed", 5000, "the report of what was not sent");
  assert.equal(client.outbox.get(unsent.id)?.error, "tenant deleted");
});

test("a thousand are handed over from inside the call that reports, and each goes out once", async () => {
  const { service, client } = await start();
  await client.commit(...Array.from({ length: 1000 }, () => aMail()));
  await service.smtp.received(1000, 60_000);
  await eventually(() => all(client, "sent"), 30_000, "a thousand reports");
  assert.equal(
    new Set(service.smtp.messages.map(({ raw }) => /^Message-ID: (.*)$/im.exec(String(raw))?.[1])).size,
    1000,
  );
  assert.equal(service.smtp.messages.length, 1000);
});

test("a login that failed with 200 acknowledges nothing; with the new password all is told", async () => {
  const { service, client } = await start();
  const first = aMail();
  await client.commit(first);
  await service.smtp.received(1);
  await eventually(() => all(client, "sent"), 5000, "the first report");
  client.password = "another";
  client.outbox.set("late", { mail: aMail({ id: "late" }), state: "waiting", error: null, resent: 0 });
  const mail = client.outbox.get("late")!.mail;
  await client.ask("POST", "/commands/add-messages", { messages: [mail] });
  await service.smtp.received(2);
  await eventually(
    () => client.calls.some(({ ids, answered }) => ids.includes("late") && answered),
    5000,
    "a refused report",
  );
  assert.equal((await client.ask("GET", "/messages/late")).body.reported_ts, undefined);
  const login = { method: "basic", user: "app", password: "another" };
  assert.equal((await client.ask("PUT", "/tenant/app", { client_auth: login })).status, 200);
  await eventually(() => client.outbox.get("late")?.state === "sent", 20_000, "the report with the new login");
});

test("503, 500 and 413 to its reports mark nothing: all are told later", async () => {
  const { service, client } = await start();
  for (const status of [503, 500, 413]) {
    const mails = Array.from({ length: 5 }, () => aMail());
    for (const mail of mails) client.outbox.set(mail.id, { mail, state: "handed", error: null, resent: 0 });
    client.refuseWith = { status, body: '{"error":"not now","rejected":[]}' };
    const called = client.calls.length;
    await client.ask("POST", "/commands/add-messages", { messages: mails });
    await eventually(() => client.calls.length > called, 5000, `a report answered with ${status}`);
    assert.ok(mails.every(({ id }) => client.outbox.get(id)?.state === "handed"));
    client.refuseWith = null;
    await eventually(() => mails.every(({ id }) => client.outbox.get(id)?.state === "sent"), 20_000, "all reports");
  }
  assert.equal(service.smtp.messages.length, 15);
});

test("413, 503 and 500 to its batch mark nothing as failed: all arrives later", async () => {
  const options: ServiceOptions = { config: "[server]\nmax_body_bytes = 100000\n" };
  const { service, client } = await start(options);
  const path = join(service.folder, "mail.db");

  await client.commit(...Array.from({ length: 400 }, () => aMail({ body: "x".repeat(400) })));
  await eventually(() => client.calls.length > 0, 5000, "the poll");
  await client.runNow();
  await eventually(() => client.calls.length > 1, 5000, "a second poll, with the same batch");
  assert.ok(all(client, "waiting"), "a batch that is too large for one request");

  renameSync(path, `${path}.away`);
  const refused = await client.ask("POST", "/commands/add-messages", { messages: [aMail()] });
  renameSync(`${path}.away`, path);
  assert.equal(refused.status, 503);
  assert.ok(!("rejected" in refused.body));

  // The words of a bug; that the service says them so is test/apps/api/storage-faults.test.ts.
  assert.ok(!("rejected" in { ok: false, error: "Internal Server Error", detail: "Internal Server Error" }));

  options.config = "[server]\nmax_body_bytes = 10000000\n";
  await service.restart({ PORT: String(new URL((await service.processes.api.logged("listening")).url).port) });
  await eventually(() => client.runNow().then(() => true), 10_000, "the api");
  await service.smtp.received(400, 30_000);
  await eventually(() => all(client, "sent"), 20_000, "all reports");
});

test("an id sent again replaces what waits, is told once more when it was sent, and goes again when it failed", async () => {
  const { service, client } = await start({
    smtp: { script: { onRcpt: (to) => (to.startsWith("bad") ? { code: 550, text: "5.1.1 no" } : undefined) } },
  });
  const post = (...messages: Mail[]) => client.ask("POST", "/commands/add-messages", { messages });
  const deferred_ts = Math.floor(Date.now() / 1000) + 3600;
  assert.equal((await post(aMail({ id: "m", deferred_ts, subject: "first" }))).body.queued, 1);
  assert.equal((await post(aMail({ id: "m", subject: "second" }))).body.queued, 1);
  const [sent] = await service.smtp.received(1);
  assert.equal((await simpleParser(sent!.raw)).subject, "second");
  const told = () => client.calls.filter(({ ids }) => ids.includes("m")).length;
  await eventually(() => told() === 1, 5000, "its report");
  assert.deepEqual((await post(aMail({ id: "m", subject: "third" }))).body, { ok: true, queued: 1, rejected: [] });
  await eventually(() => told() === 2, 5000, "its report once more");
  await post(aMail({ id: "bad", to: "bad@x.y" }));
  await eventually(async () => (await client.ask("GET", "/messages/bad")).body.status === "error", 5000, "the error");
  await post(aMail({ id: "bad", to: "good@x.y" }));
  await service.smtp.received(2);
  assert.equal(service.smtp.messages.length, 2);
});

test("its batches and itself can be suspended, and the admin's word stays", async () => {
  const { service, client } = await start();
  const post = (...messages: Mail[]) => client.ask("POST", "/commands/add-messages", { messages });
  const batch = "/commands/suspend?tenant_id=app&batch_code=nov";
  assert.deepEqual((await client.ask("POST", batch)).body, {
    ok: true,
    tenant_id: "app",
    batch_code: "nov",
    suspended_batches: ["nov"],
    pending_messages: 0,
  });
  await post(aMail({ id: "nov", batch_code: "nov" }), aMail({ id: "other" }));
  await service.smtp.received(1);
  const { body } = await client.ask("GET", "/messages/nov");
  assert.deepEqual(
    [body.status, body.waiting, body.batch_code],
    ["pending", { reason: "batch suspended: nov" }, "nov"],
  );
  assert.ok(!("deferred_ts" in body) && !("error" in body));
  const whole = await service.api.post("/commands/suspend?tenant_id=app");
  assert.deepEqual(whole.body, { ok: true, tenant_id: "app", suspended_batches: ["*"], pending_messages: 1 });
  assert.deepEqual((await client.ask("POST", "/commands/activate")).body.suspended_batches, ["*"]);
  await post(aMail({ id: "late" }));
  assert.deepEqual((await client.ask("GET", "/messages/late")).body.waiting, { reason: "suspended" });
  assert.deepEqual((await service.api.post("/commands/activate?tenant_id=app")).body.suspended_batches, []);
  await service.smtp.received(3);
});

test("its attachments come from its endpoint, an address and base64; one that fails is sent again by itself", async () => {
  const { service, client } = await start();
  client.files.set("docs/a.pdf", Buffer.from("%PDF a"));
  const attachments = [
    { storage_path: "docs/a.pdf", filename: "a{MD5:0123456789abcdef0123456789abcdef}.pdf" },
    { storage_path: `base64:${btoa("inline")}`, filename: "b.txt" },
  ];
  const late = { storage_path: "docs/late.pdf" };
  await client.commit(aMail({ attachments }), aMail({ attachments: [late] }));
  await eventually(() => [...client.outbox.values()].some(({ resent }) => resent > 0), 10_000, "a failed attachment");
  client.files.set("docs/late.pdf", Buffer.from("%PDF late"));
  const received = await service.smtp.received(2, 20_000);
  const files = (await Promise.all(received.map(({ raw }) => simpleParser(raw)))).flatMap((mail) => mail.attachments);
  assert.deepEqual(files.map(({ filename, content }) => [filename, String(content)]).sort(), [
    ["a.pdf", "%PDF a"],
    ["b.txt", "inline"],
    ["late.pdf", "%PDF late"],
  ]);
  await eventually(() => all(client, "sent"), 10_000, "the reports");
});
