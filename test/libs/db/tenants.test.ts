import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { Claim, ClaimRequest } from "@async-mail/db/store";
import type { Account } from "@async-mail/domain/account";
import type { Message } from "@async-mail/domain/message";
import type { Outcome } from "@async-mail/domain/outcome";
import type { TenantChange } from "@async-mail/domain/tenant";
import Database from "better-sqlite3";
import { type TemporaryStore, temporaryStore } from "../../support/database.ts";
import { aCheckedAccount, aCheckedMessage } from "../../support/messages.ts";

const SENT: Outcome = { kind: "sent", code: 250, response: "ok", recipients: [], mailFromSent: true };
const FAILED: Outcome = { kind: "error", error: "550 no", recipients: [], mailFromSent: true };
const NO_LIMITS = { perMinute: null, perHour: null, perDay: null, recipientsPerDay: null };

let file: TemporaryStore;
let dispatcher: number;

beforeEach(async () => {
  file = await temporaryStore();
  dispatcher = await file.store.processes.register({ kind: "dispatcher", pid: 1, host: "h", version: "1" }, now());
});
afterEach(() => file.close());

const now = () => file.clock.now();
const of = (tenant: string) => file.store.of(tenant);

/** A tenant with the account `a`. */
async function tenant(id: string, change: TenantChange = {}, account: Partial<Account> = {}): Promise<void> {
  await file.store.tenants.put(id, change, `hash of ${id}`, now());
  await of(id).accounts.put(aCheckedAccount({ id: "a", ...account }), { keepPassword: false }, now());
}

function enqueue(of: string, ...messages: Partial<Message>[]) {
  const all = messages.map((one) => aCheckedMessage({ accountId: "a", ...one }));
  return file.store.of(of).messages.enqueue(all, now(), "replaces");
}

async function claim(overrides: Partial<ClaimRequest> = {}): Promise<Claim[]> {
  const usual = { slots: 50, capacity: 200, bytes: 1e9, held: new Map(), maxConnectionsPerAccount: 50 };
  const answer = await file.store.queue.claimDue({ process: dispatcher, ...usual, ...overrides }, now());
  assert.equal(answer.kind, "claimed");
  return answer.kind === "claimed" ? answer.claims : [];
}

const settle = (one: Claim, outcome: Outcome = SENT) => file.store.queue.settle(one, outcome, now());
const get = (tenant: string, id: string) => of(tenant).messages.get(id, now());
const many = (count: number, one: Partial<Message> = {}) => Array.from({ length: count }, () => one);
const tenantsOf = (claims: Claim[]) => claims.map((one) => one.tenant);

describe("tenants", () => {
  it("have ids of messages and accounts of their own", async () => {
    await tenant("x", {}, { host: "x.example" });
    await tenant("y", {}, { host: "y.example" });
    assert.deepEqual(await enqueue("x", { id: "same" }), ["queued"]);
    assert.deepEqual(await enqueue("y", { id: "same" }), ["queued"]);
    assert.equal((await of("x").accounts.get("a", now()))?.account.host, "x.example");
    assert.deepEqual(await of("x").messages.remove(["same"], now()), { removed: 1, notFound: [], inFlight: [] });
    assert.equal(await get("x", "same"), null);
    assert.equal((await get("y", "same"))?.id, "same");
    const claims = await claim();
    assert.deepEqual(
      claims.map((one) => [one.tenant, one.account.host]),
      [["y", "y.example"]],
    );
  });

  it("other than default have not the configuration's account", async () => {
    await file.store.accounts.configureDefault(aCheckedAccount({ id: "default" }), now());
    await tenant("x");
    assert.deepEqual(await enqueue("x", { accountId: null }), ["missing account configuration"]);
    assert.deepEqual(await enqueue("x", { accountId: "default" }), ["account not found"]);
    assert.deepEqual(await enqueue("default", { accountId: null }), ["queued"]);
  });

  it("are found by the hash of their key, until it ends", async () => {
    await tenant("x");
    assert.equal((await file.store.tenants.byKey("hash of x"))?.id, "x");
    await file.store.tenants.put("x", { name: "X" }, "another", now());
    assert.equal(await file.store.tenants.byKey("hash of x"), null);
    assert.equal((await file.store.tenants.byKey("another"))?.name, "X");
    await file.store.tenants.setKey("x", null, now());
    assert.equal(await file.store.tenants.byKey("another"), null);
    assert.equal((await file.store.tenants.find("x"))?.hasKey, false);
  });

  it("keep the fields that a change does not name, and their secrets sealed", async () => {
    const clientAuth = { method: "basic", user: "u", password: "long-secret" } as const;
    await tenant("x", { name: "X", clientAuth, limits: { ...NO_LIMITS, perDay: 5 } });
    await file.store.tenants.put("x", { clientBaseUrl: "http://c.example" }, "k", now());
    const found = await file.store.tenants.find("x");
    assert.deepEqual(
      [found?.name, found?.clientAuth, found?.limits.perDay, found?.clientBaseUrl, found?.clientSyncPath],
      ["X", clientAuth, 5, "http://c.example", "/proxy_sync"],
    );
    const db = new Database(file.path);
    const secret = db.prepare("SELECT client_secret FROM tenants WHERE id = 'x'").pluck().get() as string;
    db.close();
    assert.match(secret, /^v1:[0-9a-f]{8}:/);
    assert.ok(!secret.includes("long-secret"));
  });
});

describe("an id that is sent again", () => {
  beforeEach(() => tenant("x"));

  it("replaces what waits, and changes nothing where it is equal", async () => {
    await enqueue("x", { id: "m", payload: { subject: "first" } as never });
    const before = await get("x", "m");
    await file.clock.advance(1000);
    assert.deepEqual(await enqueue("x", { id: "m", payload: before!.payload as never }), ["queued"]);
    assert.equal((await get("x", "m"))?.updatedMs, before?.updatedMs, "equal: untouched");
    assert.deepEqual(await enqueue("x", { id: "m", payload: { subject: "second" } as never }), ["queued"]);
    const after = await get("x", "m");
    assert.equal(after?.payload?.subject, "second");
    assert.equal(after?.messageId, before?.messageId);
    assert.equal((await of("x").service.standing()).pendingMessages, 1);
    const [one, ...others] = await claim();
    assert.deepEqual([one?.payload.subject, others.length], ["second", 0]);
  });

  it("replaces other inline contents of the same length", async () => {
    const payload = { attachments: [{ filename: "f", size: 1 }] } as never;
    await enqueue("x", { id: "m", payload, contents: [Buffer.from("a")] });
    await enqueue("x", { id: "m", payload: (await get("x", "m"))!.payload as never, contents: [Buffer.from("b")] });
    const [one] = await claim();
    assert.deepEqual(await file.store.queue.contents(one!.messageKey), [Buffer.from("b")]);
  });

  it("goes to nobody twice who had it before it was replaced", async () => {
    await enqueue("x", { id: "m", recipients: ["a@x.y", "b@x.y"] });
    const [one] = await claim();
    const recipients = [
      { address: "a@x.y", outcome: "accepted" as const },
      { address: "b@x.y", outcome: "waiting" as const },
    ];
    const untilMs = now().steadyMs + 60_000;
    await settle(one!, {
      kind: "deferred",
      class: "retry",
      reason: "retry: x",
      untilMs,
      countsAttempt: true,
      recipients,
    });
    await enqueue("x", { id: "m", recipients: ["a@x.y", "c@x.y"] });
    const [again] = await claim();
    assert.deepEqual(
      again?.recipients.map(({ address, outcome }) => [address, outcome]),
      [
        ["a@x.y", "accepted"],
        ["c@x.y", "waiting"],
      ],
    );
    await settle(again!, { ...SENT, recipients: [{ address: "c@x.y", outcome: "accepted" }] });
    assert.equal((await get("x", "m"))?.status, "sent");
    await enqueue("x", { id: "n", recipients: ["a@x.y", "b@x.y"] });
    const [partly] = await claim();
    await settle(partly!, {
      kind: "deferred",
      class: "retry",
      reason: "retry: x",
      untilMs,
      countsAttempt: true,
      recipients,
    });
    await enqueue("x", { id: "n", recipients: ["a@x.y"] });
    assert.equal((await get("x", "n"))?.status, "sent", "nobody is left");
    assert.equal((await of("x").service.standing()).pendingMessages, 0);
  });

  it("is left alone while it is being sent", async () => {
    await enqueue("x", { id: "m" });
    const [one] = await claim();
    assert.deepEqual(await enqueue("x", { id: "m", payload: { subject: "late" } as never }), ["queued"]);
    assert.equal((await settle(one!)).written, true);
    assert.notEqual((await get("x", "m"))?.payload?.subject, "late");
  });

  it("that was sent is reported once more, and not sent again", async () => {
    await enqueue("x", { id: "m" });
    const [one] = await claim();
    await settle(one!);
    const first = await of("x").reports.due(10, now());
    await of("x").reports.acknowledge(first, now());
    assert.deepEqual(await enqueue("x", { id: "m" }), ["queued"]);
    const [again] = await of("x").reports.due(10, now());
    assert.ok(again!.seq > first[0]!.seq);
    assert.equal(again!.sentMs, first[0]!.sentMs);
    assert.deepEqual(await claim(), []);
    assert.equal((await file.store.service.counts(now())).reportsWaiting, 1);
  });

  it("that failed is queued again; without tenants the others are duplicates", async () => {
    await enqueue("x", { id: "m" });
    const [one] = await claim();
    await settle(one!, FAILED);
    assert.deepEqual(await enqueue("x", { id: "m" }), ["queued"]);
    const message = aCheckedMessage({ id: "m", accountId: "a" });
    assert.deepEqual(await of("x").messages.enqueue([message], now()), ["duplicate id"]);
  });
});

describe("turns", () => {
  it("go between tenants, then between the accounts of each", async () => {
    await tenant("x");
    for (const id of ["b", "c"]) await of("x").accounts.put(aCheckedAccount({ id }), { keepPassword: false }, now());
    await tenant("y");
    for (const accountId of ["a", "b", "c"]) await enqueue("x", ...many(20, { accountId }));
    await enqueue("y", ...many(20));
    const claims = await claim({ slots: 12 });
    assert.equal(claims.filter((one) => one.tenant === "y").length, 6);
    const accounts = claims.filter((one) => one.tenant === "x").map((one) => one.account.id);
    assert.deepEqual(accounts.toSorted(), ["a", "a", "b", "b", "c", "c"]);
  });

  it("leave room for another tenant, however many accounts one has", async () => {
    await tenant("x");
    const accounts = Array.from({ length: 40 }, (_, i) => `x${i}`);
    for (const id of accounts) {
      await of("x").accounts.put(aCheckedAccount({ id }), { keepPassword: false }, now());
      await enqueue("x", ...many(3, { accountId: id }));
    }
    await tenant("y");
    const held = new Map<number, number>();
    for (let i = 0; i < 20; i += 1)
      for (const one of await claim({ slots: 40 - sum(held), capacity: 40, held }))
        held.set(one.accountKey, (held.get(one.accountKey) ?? 0) + 1);
    assert.equal(sum(held), 36, "a tenth stays for newcomers");
    await enqueue("y", {});
    assert.deepEqual(tenantsOf(await claim({ slots: 4, capacity: 40, held })), ["y"]);
  });
});

const sum = (counts: Map<number, number>) => [...counts.values()].reduce((all, count) => all + count, 0);

describe("a tenant's limits", () => {
  it("hold over all its accounts together, and for no other tenant", async () => {
    await tenant("x", { limits: { ...NO_LIMITS, perMinute: 3 } });
    await of("x").accounts.put(aCheckedAccount({ id: "b" }), { keepPassword: false }, now());
    await tenant("y");
    await enqueue("x", ...many(4, { accountId: "a" }), ...many(4, { accountId: "b" }));
    await enqueue("y", ...many(4));
    const claims = await claim();
    assert.deepEqual(tenantsOf(claims).toSorted(), ["x", "x", "x", "y", "y", "y", "y"]);
    const waiting = await of("x").messages.list({ status: "pending" }, null, 10, now());
    assert.ok(
      waiting.records.some(({ waiting }) => waiting?.reason === "tenant limited: 3 messages a minute"),
      JSON.stringify(waiting.records.map((one) => one.waiting)),
    );
    await file.clock.advance(1000);
    for (const one of claims) await settle(one);
    assert.deepEqual(await claim(), []);
    assert.equal(await file.store.queue.ready(now()), false);
    const openMs = await file.store.queue.nextReadyMs();
    assert.equal(openMs, now().steadyMs + 60_000);
    await file.clock.advance(60_000);
    assert.deepEqual(tenantsOf(await claim()), ["x", "x", "x"]);
  });

  it("count what was sent before they were set", async () => {
    await tenant("x");
    await enqueue("x", ...many(5));
    for (const one of await claim({ slots: 2 })) await settle(one);
    await file.store.tenants.change("x", { limits: { ...NO_LIMITS, perHour: 3 } }, now());
    assert.equal((await claim()).length, 1);
  });

  it("on recipients let a smaller message of another tenant pass, and end what is larger than they are", async () => {
    await tenant("x", { limits: { ...NO_LIMITS, recipientsPerDay: 3 } });
    await tenant("y");
    const to = (count: number) => Array.from({ length: count }, (_, i) => `r${i}@x.y`);
    await enqueue(
      "x",
      { id: "two", recipients: to(2) },
      { id: "huge", recipients: to(4) },
      { id: "next", recipients: to(2) },
    );
    await enqueue("y", { id: "y", recipients: to(5) });
    assert.deepEqual((await claim()).map(({ id }) => id).toSorted(), ["two", "y"]);
    assert.equal((await get("x", "huge"))?.error, "rate limit exceeded: 4 recipients in one message");
    assert.match((await get("x", "next"))?.waiting?.reason ?? "", /^tenant limited: 3 recipients a day/);
    assert.equal(await file.store.queue.ready(now()), false);
  });
});

describe("a message that a limit waits for", () => {
  it("and that leaves the line keeps no other of its tenant waiting", async () => {
    await tenant("x", { limits: { ...NO_LIMITS, recipientsPerDay: 3 } });
    await of("x").accounts.put(aCheckedAccount({ id: "b" }), { keepPassword: false }, now());
    const to = (count: number) => Array.from({ length: count }, (_, i) => `r${i}@x.y`);
    await enqueue("x", { recipients: to(2) });
    for (const one of await claim()) await settle(one);
    await enqueue("x", { id: "two", recipients: to(2) });
    assert.deepEqual(await claim(), []);
    await of("x").messages.remove(["two"], now());
    await enqueue("x", { id: "one", accountId: "b", recipients: to(1) });
    assert.deepEqual(
      (await claim()).map(({ id }) => id),
      ["one"],
    );
  });
});

describe("a suspension", () => {
  beforeEach(async () => {
    await tenant("x");
    await tenant("y");
  });

  it("of a tenant stops it, and no other; its word does not end the admin's", async () => {
    await enqueue("x", { id: "m", deferredMs: now().wallMs + 5000 }, {});
    await enqueue("y", {});
    assert.deepEqual(await of("x").service.suspend(null, "tenant", now()), { batches: ["*"], pending: 2 });
    assert.deepEqual(tenantsOf(await claim()), ["y"]);
    assert.equal(await file.store.queue.ready(now()), false);
    const record = await get("x", "m");
    assert.deepEqual(
      [record?.status, record?.deferredMs, record?.error, record?.waiting],
      ["pending", null, null, { reason: "suspended", untilMs: null }],
    );
    assert.equal((await of("x").service.standing()).active, false);
    await of("x").service.suspend(null, "admin", now());
    assert.deepEqual((await of("x").service.activate(null, "tenant", now())).batches, ["*"]);
    assert.deepEqual((await of("x").service.activate(null, "admin", now())).batches, []);
    assert.deepEqual(tenantsOf(await claim()), ["x"]);
  });

  it("of a batch lets the rest pass, also what is sent before its turn and what comes later", async () => {
    await enqueue("x", ...many(600, { batchCode: "b" }), { id: "other" }, { id: "c", batchCode: "c" });
    await enqueue("y", { id: "yb", batchCode: "b" });
    const answer = await of("x").service.suspend("b", "tenant", now());
    assert.deepEqual(answer, { batches: ["b"], pending: 600 });
    await enqueue("x", { id: "later", batchCode: "b" });
    assert.deepEqual((await claim({ slots: 50 })).map(({ id }) => id).toSorted(), ["c", "other", "yb"]);
    assert.equal((await get("x", "later"))?.waiting?.reason, "batch suspended: b");
    await of("x").service.suspend("c", "tenant", now());
    assert.deepEqual((await of("x").service.activate("b", "tenant", now())).batches, ["c"]);
    assert.equal((await claim({ slots: 50, maxConnectionsPerAccount: 100 })).length, 50);
    assert.deepEqual((await of("x").service.activate(null, "tenant", now())).batches, []);
    const db = new Database(file.path);
    assert.equal(db.prepare("SELECT count(*) FROM suspensions").pluck().get(), 0);
    assert.equal(db.prepare("SELECT count(*) FROM messages WHERE suspended = 1").pluck().get(), 0);
    db.close();
  });

  it("of a batch is counted with what comes later, which no claim comes across", async () => {
    await of("x").service.suspend("b", "tenant", now());
    await enqueue("x", { batchCode: "b" });
    assert.equal(await file.store.queue.ready(now()), false);
    assert.equal((await of("x").service.suspend("b", "tenant", now())).pending, 1);
  });

  it("of a batch meets what was being sent when it comes back", async () => {
    await enqueue("x", { id: "m", batchCode: "b" });
    const [one] = await claim();
    await of("x").service.suspend("b", "admin", now());
    const withheld = await file.store.queue.withheld(dispatcher, [one!.accountKey], now());
    assert.ok(withheld !== "all" && withheld.messages.has(one!.messageKey) && withheld.accounts.size === 0);
    await settle(one!, { kind: "given_back", reason: "withheld", mailFromSent: false });
    assert.deepEqual(await claim(), []);
    assert.equal(await file.store.queue.ready(now()), false, "it is put aside by then");
    assert.deepEqual((await of("x").service.activate(null, "tenant", now())).batches, ["b"], "the admin's stays");
    await of("x").service.activate("b", "admin", now());
    assert.equal((await claim()).length, 1);
  });

  it("whose end was not lived to is gone on with by the housekeeping", async () => {
    await enqueue("x", ...many(3, { batchCode: "b" }));
    await of("x").service.suspend("b", "tenant", now());
    const db = new Database(file.path);
    db.exec("UPDATE suspensions SET by = 0");
    db.close();
    assert.equal(await file.store.housekeeping.tidyTenants(0, 100, now()), 4);
    assert.equal((await claim()).length, 3);
  });

  it("does not keep what has expired, nor what its account takes with it", async () => {
    await enqueue("x", { id: "old", batchCode: "b", expiresMs: now().wallMs + 1000 }, { id: "m", batchCode: "b" });
    await of("x").service.suspend("b", "tenant", now());
    await file.clock.advance(2000);
    await file.store.housekeeping.expire(1e9, 10, now());
    assert.equal((await get("x", "old"))?.error, "expired");
    await of("x").accounts.remove("a", now());
    assert.equal((await get("x", "m"))?.error, "account deleted");
  });

  it("is no more about what failed meanwhile and is tried again", async () => {
    await enqueue("x", { id: "m", batchCode: "b" });
    await of("x").service.suspend("b", "tenant", now());
    await of("x").accounts.remove("a", now());
    await of("x").accounts.put(aCheckedAccount({ id: "a" }), { keepPassword: false }, now());
    await of("x").service.activate("b", "tenant", now());
    assert.equal((await of("x").messages.retry(["m"], now())).retried, 1);
    assert.equal((await claim()).length, 1);
  });

  it("of one that is not active is none that a tenant may end", async () => {
    await file.store.tenants.change("x", { active: false }, now());
    await enqueue("x", { id: "m" });
    assert.deepEqual(await claim(), []);
    assert.equal((await get("x", "m"))?.waiting?.reason, "tenant not active");
    await of("x").service.activate(null, "tenant", now());
    assert.deepEqual(await claim(), []);
    await file.store.tenants.change("x", { active: true }, now());
    assert.equal((await claim()).length, 1);
  });
});

describe("a deleted tenant", () => {
  const client = { clientBaseUrl: "http://c.example" };

  it("ends what is unsent, reports it, and is forgotten then", async () => {
    await tenant("x", client);
    await enqueue("x", ...many(300), { id: "m" });
    const [flying] = await claim({ slots: 1 });
    assert.equal(await file.store.tenants.remove("x", now()), true);
    assert.equal(await file.store.tenants.find("x"), null);
    assert.equal(await file.store.tenants.byKey("hash of x"), null);
    assert.equal((await get("x", "m"))?.error, "tenant deleted");
    await settle(flying!);
    assert.equal(await file.store.housekeeping.tidyTenants(0, 1000, now()), 0, "it owes reports");
    const [toldOf] = await file.store.tenants.clients().then((all) => all.filter(({ deleted }) => deleted));
    assert.equal(toldOf?.id, "x");
    await of("x").reports.acknowledge(await of("x").reports.due(1000, now()), now());
    await file.store.queue.giveBackConnections(dispatcher, flying!.accountKey, 0, now());
    for (let i = 0; i < 10; i += 1) await file.store.housekeeping.tidyTenants(0, 200, now());
    const db = new Database(file.path);
    for (const table of ["messages", "payloads", "history", "queues", "accounts", "sends", "connections"])
      assert.equal(db.prepare(`SELECT count(*) FROM ${table}`).pluck().get(), 0, table);
    assert.equal(db.prepare("SELECT count(*) FROM tenants").pluck().get(), 1);
    db.close();
  });

  it("is forgotten after the retention, with reports that nobody took", async () => {
    await tenant("x", client);
    await enqueue("x", {});
    await file.store.tenants.remove("x", now());
    await file.store.housekeeping.tidyTenants(now().wallMs, 100, now());
    assert.notEqual(await file.store.tenants.sources("x"), null);
    await file.clock.advance(1000);
    for (let i = 0; i < 3; i += 1) await file.store.housekeeping.tidyTenants(now().wallMs, 100, now());
    assert.equal(await file.store.tenants.sources("x"), null);
  });

  it("made again under its id knows nothing of the one before", async () => {
    await tenant("x", { ...client, name: "before" });
    await enqueue("x", { id: "m" });
    await file.store.tenants.remove("x", now());
    await file.store.tenants.put("x", {}, "fresh", now());
    const fresh = await file.store.tenants.find("x");
    assert.deepEqual([fresh?.name, fresh?.clientBaseUrl], [null, null]);
    assert.equal(await get(fresh!.tenant, "m"), null);
    assert.equal((await of("x").reports.due(10, now())).length, 1, "the old one's report waits for its own client");
    assert.equal((await of(fresh!.tenant).reports.due(10, now())).length, 0);
  });

  it("takes nothing more from calls that were begun before, and its name is never another's", async () => {
    await tenant("x");
    await file.store.tenants.remove("x", now());
    const gone = { name: "TenantGone" };
    const account = aCheckedAccount({ id: "late" });
    await assert.rejects(of("x").accounts.put(account, { keepPassword: false }, now()), gone);
    await assert.rejects(enqueue("x", {}), gone);
    for (let i = 0; i < 3; i += 1) await file.store.housekeeping.tidyTenants(0, 10, now());
    assert.equal(await file.store.tenants.sources("x"), null);
    await file.store.tenants.put("x", { name: "another" }, "k", now());
    const fresh = await file.store.tenants.find("x");
    assert.notEqual(fresh?.tenant, "x");
    assert.equal(await file.store.tenants.change("x", { name: "stolen" }, now(), "x"), false);
    await assert.rejects(enqueue("x", {}), gone);
  });
});
