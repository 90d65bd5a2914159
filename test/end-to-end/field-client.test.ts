import assert from "node:assert/strict";
import { renameSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import Database from "better-sqlite3";
import { simpleParser } from "mailparser";
import { eventually, gate } from "../support/eventually.ts";
import { type FieldClient, type Kept, type Mail, startFieldClient } from "../support/field-client.ts";
import { bytes } from "../support/file-answers.ts";
import { startFileServer } from "../support/file-server.ts";
import { type Service, type ServiceOptions, startService } from "../support/service.ts";
import type { Received, Script } from "../support/smtp-server.ts";

/** The existing client of the field against the real processes: it works as it is, and never gives up good mail. */

type Running = { service: Service; client: FieldClient };

/** Where the client is to be polled again without a run-now. */
const EVERY_SECOND = "[sync]\nproxy_sync_interval_seconds = 1\n";
/** Far longer than any of it takes. */
const LONG_MS = 30_000;

/** With one account, registered. Whatever a test does, the client is never called twice at once, and breaks over nothing. */
async function start(t: TestContext, options: ServiceOptions = {}): Promise<Running> {
  const service = await startService(options);
  const url = await service.processes.api.listening();
  const client = await startFieldClient({ service: url, tenant: "app" });
  t.after(async () => {
    await Promise.all([service.stop(), client.close()]);
    assert.deepEqual(client.crashes, []);
    assert.ok(client.open.max <= 1, "never two calls at once");
    for (const { ids } of client.posts) assert.equal(new Set(ids).size, ids.length, "one item for each id and POST");
    for (const { authorization } of client.posts) assert.ok(authorization, "the login comes with the first request");
    const ofOthers = service.client.calls.flatMap(({ body }) => body.delivery_report);
    assert.deepEqual(ofOthers, [], "the configuration's own client hears nothing of it");
  });
  assert.ok(await client.isReachable());
  await client.register();
  assert.equal((await client.addAccount(relayOf(service))).status, 200);
  return { service, client };
}

/** As the client posts it: what is empty is absent, and there are fields that are not known here. */
function relayOf({ smtp }: Service) {
  return { id: "relay", name: "The relay", host: smtp.host, port: smtp.port, user: "", password: null, timeout: 30 };
}

let count = 0;
function aMail(fields: Partial<Mail> = {}): Mail {
  count += 1;
  const id = fields.id ?? `mail-${count}`;
  return { id, account_id: "relay", from: "a@x.example", to: ["b@x.example"], subject: id, body: "Hello", ...fields };
}

function mails(count: number, fields: Partial<Mail> = {}): Mail[] {
  return Array.from({ length: count }, () => aMail(fields));
}

const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;
const idsOf = (list: Mail[]) => list.map(({ id }) => id);
const subjectOf = ({ raw }: Received) => /^subject: (.*?)\r$/im.exec(raw.toString("latin1"))?.[1] ?? "";
const subjectsAt = ({ smtp }: Service) => smtp.messages.map(subjectOf).sort();
const add = (client: FieldClient, ...messages: Mail[]) => client.call("POST", "/commands/add-messages", { messages });

async function record(client: FieldClient, id: string) {
  return (await client.call("GET", `/messages/${id}`)).body;
}

function allAre(client: FieldClient, state: Kept["state"], ...ids: string[]): Promise<true> {
  const others = () => client.states(...ids).filter((one) => one !== state);
  return eventually(
    () => others().length === 0,
    2 * LONG_MS,
    () =>
      `${ids.join(", ") || "all"} as ${state}: ${others().length} are ${[...new Set(others())].join(" or ")}, and that`,
  );
}

/** Postfix's words for an address that it does not know. */
const refusing: Script = {
  onRcpt: (to) => (to.startsWith("nobody") ? { code: 550, text: "5.1.1 User unknown" } : undefined),
};

test("it registers, loses its key and registers again; an account may lack its port and have unknown fields", async (t) => {
  const { client } = await start(t);
  const lost = client.key;
  assert.equal((await client.call("GET", "/messages", undefined, lost)).status, 200);
  await client.register();
  assert.notEqual(client.key, lost);
  const refused = await client.call("POST", "/commands/add-messages", { messages: [aMail()] }, lost);
  assert.equal(refused.status, 401);
  assert.equal("rejected" in refused.body, false);

  const account = {
    id: "no-port",
    name: "No port",
    host: "relay.invalid",
    port: "",
    user: "u",
    password: "p",
    timeout: 5,
  };
  assert.equal((await client.addAccount({ ...account, use_tls: null, save_output_message_id: true })).body.ok, true);
  const shown = await client.call("GET", "/account/no-port?tenant_id=app");
  assert.deepEqual([shown.body.port, shown.body.tenant_id, shown.body.password], [587, "app", undefined]);
});

test("of a batch with bad messages the others are queued; it sees each state in the records, deletes and cleans up", async (t) => {
  const { service, client } = await start(t, { smtp: { script: refusing } });
  const noSubject = aMail({ id: "no-subject", subject: "" });
  const noSender = aMail({ id: "no-sender", from: null });
  const noRecipient = aMail({ id: "no-recipient", to: [] });
  const fine = aMail({ id: "fine", to: ["b@x.example", "c@x.example"], cc: "d@x.example", priority: 1 });
  const refused = aMail({ id: "refused", to: ["nobody@x.example"] });
  const later = aMail({ id: "later", deferred_ts: inAnHour() });
  await client.suspend("held");
  const held = aMail({ id: "held", batch_code: "held" });
  await client.commit(noSubject, noSender, noRecipient, fine, refused, later, held);
  await allAre(client, "sent", "no-subject", "fine");
  await allAre(client, "failed", "no-sender", "no-recipient", "refused");
  assert.deepEqual(client.states("later", "held"), ["handed", "handed"]);
  assert.deepEqual(subjectsAt(service), ["", "fine"]);
  const { status, body } = client.batches[0]!;
  assert.deepEqual([status, body.ok, body.queued, "error" in body], [200, true, 5, false]);
  assert.deepEqual(body.rejected, [
    { id: "no-sender", reason: "missing from" },
    { id: "no-recipient", reason: "missing to" },
  ]);
  assert.match(client.outbox.get("refused")!.error!, /550 5\.1\.1 User unknown/);

  // Its poll of its own status.
  const listed = async (status: Parameters<FieldClient["rows"]>[0]) => (await client.rows(status)).map(({ id }) => id);
  const reported = async () => (await client.rows()).filter(({ reported_ts }) => reported_ts).length;
  await eventually(async () => (await reported()) === 3, LONG_MS, "the marks");
  assert.deepEqual((await listed("sent")).sort(), ["fine", "no-subject"]);
  assert.deepEqual(await listed("error"), ["refused"]);
  assert.deepEqual(await listed("deferred"), ["later"]);
  assert.deepEqual(await listed("pending"), ["held"]);
  const rows = new Map((await client.rows()).map((row) => [row.id, row]));
  assert.equal(rows.size, 5, "what was rejected is not stored");
  const { created_at, sent_ts, reported_ts, ...rest } = rows.get("fine")!;
  const none = { deferred_ts: undefined, error_ts: undefined, error: undefined };
  const [to, subject] = [["b@x.example", "c@x.example"], "fine"];
  assert.deepEqual(rest, { id: "fine", account_id: "relay", priority: 1, to, subject, retry_count: 0, ...none });
  assert.ok(Math.abs(Date.parse(created_at) - Date.now()) < 60_000);
  assert.ok(Math.abs(sent_ts! * 1000 - Date.now()) < 60_000 && reported_ts! >= Math.floor(sent_ts!));
  assert.equal(rows.get("no-subject")!.subject, "");
  assert.equal(rows.get("later")!.deferred_ts, later.deferred_ts);
  for (const { id, sent_ts, error_ts, error } of rows.values()) {
    assert.equal(sent_ts !== undefined, ["fine", "no-subject"].includes(id), `sent_ts of ${id}`);
    assert.deepEqual([error_ts !== undefined, error !== undefined], [id === "refused", id === "refused"], id);
  }

  const command = (name: string, fields: object) => client.call("POST", `/commands/${name}?tenant_id=app`, fields);
  const deleted = await command("delete-messages", { ids: ["later", "unknown"] });
  assert.deepEqual(deleted.body, { ok: true, removed: 1, not_found: ["unknown"] });
  assert.deepEqual((await command("cleanup-messages", { older_than_seconds: 0 })).body, { ok: true, removed: 3 });
  assert.deepEqual(await listed(undefined), ["held"]);
});

test("a batch of which nothing is good fails as a whole, each message with its own reason", async (t) => {
  const { client } = await start(t);
  await client.commit(aMail({ id: "a", from: null }), aMail({ id: "b", account_id: "unknown" }));
  await allAre(client, "failed");
  const { status, body } = client.batches[0]!;
  assert.deepEqual([status, body.error], [400, "all messages rejected"]);
  assert.deepEqual(
    [...client.outbox.values()].map(({ error }) => error),
    ["missing from", "account not found"],
  );
});

test("unregistered, its unsent mail ends and is told, and its key is worth nothing; registered again it begins anew", async (t) => {
  const { service, client } = await start(t);
  await client.addAccount({ id: "unreachable", host: "relay.invalid" });
  await client.suspend("held");
  const sent = aMail();
  const unsent = [
    aMail({ deferred_ts: inAnHour() }),
    aMail({ batch_code: "held" }),
    aMail({ account_id: "unreachable" }),
  ];
  await client.commit(sent, ...unsent);
  await allAre(client, "sent", sent.id);
  assert.deepEqual(new Set(client.states(...idsOf(unsent))), new Set(["handed"]));

  assert.deepEqual(await client.unregister(), { status: 200, body: { ok: true } });
  for (const [method, path] of [
    ["GET", "/messages"],
    ["POST", "/commands/run-now"],
    ["GET", "/tenant/app"],
  ] as const)
    assert.equal((await client.call(method, path)).status, 401, path);
  await assert.rejects(client.runNow(), /401/);
  await allAre(client, "failed", ...idsOf(unsent));
  assert.deepEqual(client.states(sent.id), ["sent"]);
  const again = await client.unregister();
  assert.deepEqual([again.status, again.body.error], [404, "Tenant 'app' not found"]);

  await client.register();
  assert.deepEqual(await client.rows(), []);
  assert.deepEqual((await client.call("GET", "/accounts")).body.accounts, []);
  await client.addAccount(relayOf(service));
  // The same id is another message now.
  await client.commit(sent, aMail({ id: "new" }));
  await allAre(client, "sent", sent.id, "new");
  assert.deepEqual(subjectsAt(service), [sent.id, sent.id, "new"].sort());
});

test("a thousand are handed over from inside a report's call, while run-now comes in bursts; each goes out once", async (t) => {
  const { service, client } = await start(t);
  const first = aMail();
  await client.commit(first);
  await allAre(client, "sent");

  let slowestMs = 0;
  async function burst(): Promise<void> {
    const one = async () => {
      const startedMs = performance.now();
      await client.runNow();
      slowestMs = Math.max(slowestMs, performance.now() - startedMs);
    };
    await Promise.all(Array.from({ length: 200 }, one));
  }
  // None throws: an exception would reach the user.
  await burst();
  t.diagnostic(`200 run-now at once, idle: the slowest took ${Math.round(slowestMs)} ms`);
  slowestMs = 0;

  let wasInside = false;
  client.around = { before: () => (wasInside = client.open.now === 1), after: () => undefined };
  const thousand = mails(1000);
  const more = mails(100);
  await client.commit(...thousand, ...more);
  for (let i = 0; i < 10; i += 1) await burst();
  await allAre(client, "sent");
  t.diagnostic(`2000, in bursts, while mail is handed over and sent: the slowest took ${Math.round(slowestMs)} ms`);
  assert.ok(wasInside, "handed over while our call is open");
  const sizes = client.batches.map(({ ids }) => ids.length).filter((size) => size > 1);
  assert.deepEqual(sizes, [1000, 100], "each is handed over once, and the rest at once after the first thousand");
  assert.deepEqual(subjectsAt(service), idsOf([first, ...thousand, ...more]).sort());
});

test("a failed login, answered with 200 and an error, acknowledges nothing; once it is mended, all is told", async (t) => {
  const { service, client } = await start(t);
  const { password } = client.login;
  client.login.password = "changed at the application";
  const sent = mails(3);
  client.keep(...sent);
  assert.equal((await add(client, ...sent)).body.queued, 3);
  await eventually(async () => (await client.rows("sent")).length === 3, LONG_MS, "all three");
  const refused = () => client.posts.filter(({ ids }) => ids.length > 0);
  await eventually(() => refused().length > 0, LONG_MS, "a report");
  assert.deepEqual(
    new Set(refused().map(({ answer }) => JSON.stringify(answer))),
    new Set(['{"error":"User not allowed"}']),
  );
  await client.runNow();
  await eventually(() => refused().length > 1, LONG_MS, "the report once more");
  for (const { sent_ts, reported_ts } of await client.rows())
    assert.deepEqual([sent_ts !== undefined, reported_ts], [true, undefined]);
  assert.deepEqual(new Set(client.states()), new Set(["waiting"]), "it has heard of nothing");

  const client_auth = { method: "basic", ...client.login };
  const foreign = await client.call("PUT", "/tenant/app", { client_auth, client_base_url: "http://127.0.0.1:9" });
  assert.equal(foreign.status, 403);
  assert.deepEqual(await client.call("PUT", "/tenant/app", { client_auth }), { status: 200, body: { ok: true } });
  await allAre(client, "sent");
  await eventually(async () => (await client.rows()).every(({ reported_ts }) => reported_ts), 5000, "the marks");
  assert.equal(service.smtp.messages.length, 3);
  const shown = (await client.call("GET", "/tenant/app")).body;
  assert.deepEqual(shown.client_auth, { method: "basic", user: client.login.user });
  assert.ok(!JSON.stringify(shown).includes(password));
});

test("503, 500 and 413 to its reports mark nothing, though with a rejected in them: all are told later", async (t) => {
  const { service, client } = await start(t);
  const all = mails(8);
  client.keep(...all);
  for (const one of client.outbox.values()) one.state = "handed";
  client.refusals.push(503, 500, 413);
  assert.equal((await add(client, ...all)).body.queued, 8);
  const bringing = () => client.posts.filter(({ ids }) => ids.length > 0);
  for (const [index, status] of [503, 500, 413].entries()) {
    await eventually(() => bringing().length > index, LONG_MS, `a report answered with ${status}`);
    assert.equal(bringing()[index]!.status, status);
    // Not before its least pause.
    await client.runNow();
  }
  await allAre(client, "sent");
  const taken = bringing().slice(3);
  assert.deepEqual(taken.flatMap(({ ids }) => ids).sort(), idsOf(all).sort(), "each of them once, then");
  await eventually(async () => (await client.rows()).every(({ reported_ts }) => reported_ts), 5000, "the marks");
  assert.equal(service.smtp.messages.length, 8);
});

describe("whatever ours answers its batch, nothing of it fails for good", { concurrency: true }, () => {
  test("413, 503, 500 and 401 of ours to its batch fail nothing: it is sent again, and all arrives once", async (t) => {
    const config = `[server]\nmax_body_bytes = 100000\nmax_bytes_in_flight = 120000\n${EVERY_SECOND}`;
    const options: ServiceOptions = { config };
    const { service, client } = await start(t, options);
    const file = join(service.folder, "mail.db");
    const url = await service.processes.api.listening();

    /** What makes ours answer so, and how it ends. */
    const faults: Record<number, () => Promise<() => unknown>> = {
      // While another's request is on its way: it was declared, and holds the room.
      503: async () => {
        const other = connect(Number(new URL(url).port), "127.0.0.1");
        const head = ["POST /commands/add-messages HTTP/1.1", "Host: a", "X-API-Token: test-token"];
        other.write(`${head.join("\r\n")}\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n\r\n{`);
        const isFull = async () => (await service.api.addMessages({ pad: "x".repeat(40_000) })).status === 503;
        await eventually(isFull, LONG_MS, "no room for another");
        return () => other.destroy();
      },
      // A fault that nobody thought of, within the database.
      500: async () => {
        const database = new Database(file);
        database.exec("CREATE TRIGGER bug BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'a bug'); END");
        return () => database.exec("DROP TRIGGER bug").close();
      },
      401: async () => {
        await service.api.delete("/tenant/app/api-key");
        return () => client.register();
      },
    };

    for (const status of [503, 500, 401])
      await t.test(`${status}`, async () => {
        const all = mails(100, { body: "x".repeat(400) });
        const end = await faults[status]!();
        const before = client.batches.length;
        client.keep(...all);
        await eventually(() => client.batches.length > before, LONG_MS, "the batch");
        const refused = client.batches.slice(before);
        for (const { ids, body, status: answered } of refused) {
          assert.equal(answered, status);
          assert.deepEqual(ids, idsOf(all), "the whole batch");
          assert.deepEqual([body.ok, typeof body.error, "rejected" in body], [false, "string", false]);
        }
        assert.deepEqual(new Set(client.states(...idsOf(all))), new Set(["waiting"]));
        await end();
        await allAre(client, "sent", ...idsOf(all));
      });

    await t.test("413", async () => {
      const all = mails(300, { body: "x".repeat(400) });
      const before = client.batches.length;
      client.keep(...all);
      await eventually(() => client.batches.length > before + 1, LONG_MS, "the batch, and once more");
      // Whoever is still sending when the answer comes may find the connection closed.
      const refused = client.batches.slice(before).filter(({ status }) => status !== null);
      for (const { status, body } of refused) assert.deepEqual([status, "rejected" in body], [413, false]);
      assert.ok(refused.length > 0);
      assert.deepEqual(new Set(client.states(...idsOf(all))), new Set(["waiting"]));
      // The operator reads the log, and allows more.
      options.config = EVERY_SECOND;
      await service.restart({ PORT: new URL(url).port });
      await allAre(client, "sent", ...idsOf(all));
    });

    assert.deepEqual(subjectsAt(service), [...client.outbox.keys()].sort());
  });

  test("while ours cannot answer it within its time, nothing fails, and nothing goes out twice", {
    concurrency: true,
  }, async (t) => {
    const cases: Record<string, (running: Running) => NonNullable<FieldClient["around"]>> = {
      "another program has locked the file": ({ service }) => {
        const database = new Database(join(service.folder, "mail.db"));
        return { before: () => database.exec("BEGIN IMMEDIATE"), after: () => database.exec("ROLLBACK").close() };
      },
      "the file is not where it was": ({ service }) => {
        const path = join(service.folder, "mail.db");
        return { before: () => renameSync(path, `${path}.away`), after: () => renameSync(`${path}.away`, path) };
      },
      "the machine sleeps, and then does what it was asked": ({ service }) => ({
        before: () => service.processes.api.kill("SIGSTOP"),
        after: () => service.processes.api.kill("SIGCONT"),
      }),
    };
    const play = (name: string) =>
      t.test(name, async (t) => {
        const running = await start(t, { config: EVERY_SECOND });
        const { service, client } = running;
        const { before, after } = cases[name]!(running);
        const all = mails(10);
        const states: Kept["state"][] = [];
        client.around = {
          before,
          async after() {
            client.around = null;
            await after();
          },
        };
        client.keep(...all);
        await eventually(() => client.batches.length > 0, LONG_MS, "the batch that got no answer in time");
        states.push(...client.states());
        const { status, body } = client.batches[0]!;
        assert.ok(status === null || status === 503, `${status}`);
        assert.equal("rejected" in (body ?? {}), false);
        assert.deepEqual(new Set(states), new Set(["waiting"]));
        t.diagnostic(`its first batch: ${status === null ? "no answer" : status}`);
        await allAre(client, "sent");
        assert.ok(client.batches.length > 1, "handed over again");
        assert.deepEqual(subjectsAt(service), idsOf(all).sort());
      });
    await Promise.all(Object.keys(cases).map(play));
  });
});

test("an id sent again replaces what waits, changes nothing that is equal, is told once more, or starts afresh", async (t) => {
  const held = gate();
  t.after(() => held.open());
  const busy = (to: string) => to.startsWith("busy");
  const { service, client } = await start(t, {
    smtp: {
      script: {
        onRcpt: (to) => (busy(to) ? { code: 451, text: "4.3.2 Later" } : refusing.onRcpt!(to, undefined as never)),
        onData: async (mail) => {
          if (subjectOf(mail) === "slow") await held.opened;
          return undefined;
        },
      },
    },
  });
  await client.suspend("held");
  const first = {
    pending: aMail({ id: "pending", batch_code: "held" }),
    equal: aMail({ id: "equal", batch_code: "held" }),
    scheduled: aMail({ id: "scheduled", deferred_ts: inAnHour() }),
    deferred: aMail({ id: "deferred", to: ["busy@x.example"] }),
    failed: aMail({ id: "failed", to: ["nobody@x.example"] }),
    sent: aMail({ id: "sent" }),
    slow: aMail({ id: "slow" }),
  };
  client.keep(...Object.values(first));
  for (const one of client.outbox.values()) one.state = "handed";
  assert.equal((await add(client, ...Object.values(first))).body.queued, 7);
  const told = (id: string) => client.posts.filter(({ ids }) => ids.includes(id)).length;
  await allAre(client, "sent", "sent");
  await allAre(client, "failed", "failed");
  await eventually(async () => (await record(client, "deferred")).reported_ts, LONG_MS, "the deferral, told");
  await eventually(
    async () => (await record(client, "slow")).waiting?.reason === "being sent",
    LONG_MS,
    "the slow one",
  );
  await eventually(async () => (await record(client, "sent")).reported_ts, LONG_MS, "the mark of the report");
  const toldBefore = told("sent");

  // Nor does one that is deferred go out earlier. `waiting` says the same moment to within a millisecond.
  const standing = async (id: string) => ({ ...(await record(client, id)), waiting: undefined });
  const before = await Promise.all(["equal", "deferred"].map(standing));
  const same = await add(client, first.equal, first.deferred);
  assert.deepEqual(same.body, { ok: true, queued: 2, rejected: [] });
  assert.deepEqual(await Promise.all(["equal", "deferred"].map(standing)), before);

  const again = Object.values({ ...first, equal: aMail({ id: "added" }) }).map((mail) => ({
    ...mail,
    to: ["good@x.example"],
    subject: `${mail.id}, again`,
    batch_code: undefined,
    deferred_ts: undefined,
  }));
  assert.deepEqual((await add(client, ...again)).body, { ok: true, queued: 7, rejected: [] });
  await allAre(client, "sent", "pending", "scheduled", "deferred", "failed");
  await eventually(() => told("sent") > toldBefore, LONG_MS, "what was sent is told once more");
  held.open();
  await allAre(client, "sent", "slow");
  await eventually(async () => (await record(client, "sent")).reported_ts, LONG_MS, "the mark of the second report");
  await service.smtp.received(7, LONG_MS);
  assert.equal(told("sent"), toldBefore + 1);
  assert.deepEqual(
    subjectsAt(service),
    ["deferred, again", "failed, again", "pending, again", "scheduled, again", "sent", "slow", "added, again"].sort(),
  );
  assert.deepEqual(client.states("equal"), ["handed"]);
});

test("it suspends and activates batches and itself; what an admin suspended is the admin's to activate", async (t) => {
  const { service, client } = await start(t, {
    smtp: { script: { onRcpt: (to) => (to.startsWith("busy") ? { code: 451, text: "4.3.2 Later" } : undefined) } },
  });
  const admin = (command: string) => service.api.post(`/commands/${command}`);
  const tenant = { ok: true, tenant_id: "app" };
  const suspended = async () =>
    (await client.suspend("probe")) && (await client.activate("probe")).body.suspended_batches;

  // A deferral that was there before counts for nothing while it is suspended.
  await add(client, aMail({ id: "nov-tried", batch_code: "nov", to: ["busy@x.example"] }));
  await eventually(async () => (await record(client, "nov-tried")).deferred_ts, LONG_MS, "the deferral");
  const nov = { ...tenant, batch_code: "nov" };
  assert.deepEqual((await client.suspend("nov")).body, { ...nov, suspended_batches: ["nov"], pending_messages: 1 });
  await add(
    client,
    aMail({ id: "nov", batch_code: "nov" }),
    aMail({ id: "dec", batch_code: "dec" }),
    aMail({ id: "none" }),
  );
  await eventually(async () => (await client.rows("sent")).length === 2, LONG_MS, "what is not suspended");
  assert.deepEqual(subjectsAt(service), ["dec", "none"]);
  async function waits(id: string, reason: string): Promise<void> {
    const { status, deferred_ts, deferred_reason, error, waiting } = await record(client, id);
    assert.deepEqual(
      { status, deferred_ts, deferred_reason, error, waiting },
      {
        status: "pending",
        ...{ deferred_ts: undefined, deferred_reason: undefined, error: undefined },
        waiting: { reason },
      },
    );
  }
  await waits("nov", "batch suspended: nov");
  await waits("nov-tried", "batch suspended: nov");
  assert.deepEqual(
    (await client.rows("deferred")).map(({ id }) => id),
    [],
  );
  assert.equal((await record(client, "nov")).batch_code, "nov");

  await client.suspend("dec");
  assert.deepEqual((await suspended()).toSorted(), ["dec", "nov"]);
  const whole = (await client.suspend()).body;
  assert.deepEqual(whole, { ...tenant, suspended_batches: ["*"], pending_messages: 2 });
  await add(client, aMail({ id: "late" }), aMail({ id: "late-dec", batch_code: "dec" }));
  await waits("late", "suspended");
  // Told while it is suspended, and polled when that ends.
  const told = aMail({ id: "told" });
  await client.commit(told);
  assert.deepEqual((await client.activate("nov")).body.suspended_batches, ["*"], "the whole still is");
  // How many still wait then: they leave at once.
  const { pending_messages, ...activated } = (await client.activate()).body;
  assert.deepEqual([activated, typeof pending_messages], [{ ...tenant, suspended_batches: [] }, "number"]);
  await allAre(client, "sent", "told");
  await eventually(() => service.smtp.messages.length >= 6, LONG_MS, "all that was suspended");

  for (const batch of ["", "&batch_code=jan"]) {
    await admin(`suspend?tenant_id=app${batch}`);
    const codes = batch === "" ? ["*"] : ["jan"];
    assert.deepEqual((await client.activate(batch === "" ? undefined : "jan")).body.suspended_batches, codes);
    assert.deepEqual((await client.activate()).body.suspended_batches, codes);
    const id = `by admin${batch}`;
    await add(client, aMail({ id, batch_code: "jan" }));
    assert.ok((await record(client, encodeURIComponent(id))).waiting.reason.includes("suspended"));
    await client.suspend();
    await client.activate();
    assert.deepEqual((await admin(`activate?tenant_id=app${batch}`)).body.suspended_batches, []);
    await eventually(() => subjectsAt(service).includes(id), LONG_MS, "what the admin let go");
  }
  assert.deepEqual(subjectsAt(service), [
    "by admin",
    "by admin&batch_code=jan",
    "dec",
    "late",
    "late-dec",
    "none",
    "nov",
    "told",
  ]);
});

async function filesOf(received: Received[]): Promise<[name: string | undefined, content: string][]> {
  const all = (await Promise.all(received.map(({ raw }) => simpleParser(raw)))).flatMap((mail) => mail.attachments);
  return all.map(({ filename, content }) => [filename, String(content)] as [string, string]).sort();
}

test("attachments by storage_path: base64 and addresses, which never hear of its login", async (t) => {
  const files = await startFileServer({ "/a.txt": bytes("of an address"), "/b": bytes("of another") });
  t.after(() => files.close());
  const { service, client } = await start(t, { config: "[attachments]\nallow_hosts = 127.0.0.1\n" });
  const attachments = [
    { storage_path: `base64:${btoa("with a prefix")}`, filename: "1.txt", mime_type: "text/plain" },
    { storage_path: btoa("by its mode"), fetch_mode: "base64", filename: `2{MD5:${"0".repeat(32)}}.txt` },
    { storage_path: `base64:${btoa("by both")}`, fetch_mode: "base64", filename: "3.txt" },
    { storage_path: files.url("/a.txt") },
    { storage_path: files.url("/b"), fetch_mode: "http_url", filename: "b.txt", content_md5: "f".repeat(32) },
  ];
  await client.commit(aMail({ attachments }));
  await allAre(client, "sent");
  assert.deepEqual(await filesOf(service.smtp.messages), [
    ["1.txt", "with a prefix"],
    ["2.txt", "by its mode"],
    ["3.txt", "by both"],
    ["a.txt", "of an address"],
    ["b.txt", "of another"],
  ]);
  assert.deepEqual(files.requests.map(({ path }) => path).sort(), ["/a.txt", "/b"]);
  for (const { headers } of files.requests) assert.equal(headers.authorization, undefined);
  assert.deepEqual(client.fileRequests, []);
});

test("attachments that its endpoint has: refusals pass, what is missing it sends again up to five times", async (t) => {
  const { service, client } = await start(t, { config: `[delivery]\nretry_delays_seconds = 1\n${EVERY_SECOND}` });
  client.files.set("site/a.pdf", "%PDF").set("site/data.json", '{"error":"as data"}').set("/etc/hostname", "its own");
  const one = aMail({
    id: "files",
    attachments: [
      { storage_path: "site/a.pdf", filename: `a{MD5:${"0".repeat(32)}}.pdf`, content_md5: "f".repeat(32) },
      { storage_path: "site/data.json", fetch_mode: "endpoint" },
      { storage_path: "/etc/hostname", filename: "local.txt" },
    ],
  });
  await client.commit(one);
  await allAre(client, "sent", "files");
  assert.deepEqual(await filesOf(service.smtp.messages), [
    ["a.pdf", "%PDF"],
    ["data.json", '{"error":"as data"}'],
    ["local.txt", "its own"],
  ]);
  const asked = (path: string) => client.fileRequests.filter(({ body }) => JSON.parse(body).storage_path === path);
  assert.deepEqual(
    asked("site/a.pdf").map(({ body }) => JSON.parse(body)),
    [{ storage_path: "site/a.pdf" }],
  );
  assert.equal(asked("site/a.pdf")[0]!.authorization, client.posts[0]!.authorization);

  client.files.set("site/busy.pdf", 503).set("site/login.pdf", "%PDF login");
  const login = { ...client.login };
  const missing = (path: string) => ({ attachments: [{ storage_path: path }] });
  const passing = [aMail(missing("site/busy.pdf")), aMail(missing("site/login.pdf"))];
  client.keep(...passing);
  for (const { id } of passing) client.outbox.get(id)!.state = "handed";
  client.login.password = "changed for a moment";
  await add(client, ...passing);
  for (const { id } of passing) {
    await eventually(async () => (await record(client, id)).deferred_reason, LONG_MS, "its deferral");
    assert.match((await record(client, id)).deferred_reason, /Attachment fetch failed/);
  }
  Object.assign(client.login, login);
  const reason = async () => (await record(client, passing[0]!.id)).deferred_reason;
  await eventually(async () => /503/.test(await reason()), LONG_MS, "the deferral of the busy one");
  client.files.set("site/busy.pdf", "%PDF not busy");
  await allAre(client, "sent", ...idsOf(passing));

  const late = aMail(missing("site/late.pdf"));
  const never = aMail(missing("site/never.pdf"));
  const late2 = () => client.outbox.get(late.id)!.resends === 2 && client.files.set("site/late.pdf", "%PDF late");
  client.around = { before: late2, after: () => undefined };
  await client.commit(late, never);
  await allAre(client, "sent", late.id);
  await allAre(client, "failed", never.id);
  assert.match(client.outbox.get(never.id)!.error!, /^Attachment fetch failed/);
  assert.deepEqual([asked("site/late.pdf").length, asked("site/never.pdf").length], [3, 6]);
  assert.equal(service.smtp.messages.length, 4);
});
