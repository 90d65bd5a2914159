import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { Account } from "@async-mail/domain/account";
import { type TemporaryStore, temporaryStore } from "../../support/database.ts";
import { aCheckedAccount, aCheckedMessage } from "../../support/messages.ts";

let file: TemporaryStore;
beforeEach(async () => {
  file = await temporaryStore();
});
afterEach(() => file.close());

const put = (overrides: Partial<Account>, keepPassword = false) =>
  file.store.accounts.put(
    aCheckedAccount({ id: "a", user: "u", password: "secret", ...overrides }),
    { keepPassword },
    file.clock.now(),
  );

async function storedPassword() {
  await file.store.messages.enqueue([aCheckedMessage({ accountId: "a" })], file.clock.now());
  const process = await file.store.processes.register(
    { kind: "dispatcher", pid: 1, host: "h", version: "1" },
    file.clock.now(),
  );
  const request = { process, slots: 1, capacity: 9, bytes: 1e9, held: new Map(), maxConnectionsPerAccount: 5 };
  const answer = await file.store.queue.claimDue(request, file.clock.now());
  return answer.kind === "claimed" ? answer.claims[0]?.account.password : undefined;
}

describe("an account's password", () => {
  it("never leaves the store in a record", async () => {
    await put({});
    const record = (await file.store.accounts.get("a", file.clock.now()))!;
    assert.equal(record.hasPassword, true);
    assert.ok(!JSON.stringify(await file.store.accounts.list(file.clock.now())).includes("secret"));
  });

  it("is kept while host, port, user and security stay, and only then", async () => {
    await put({});
    assert.deepEqual(await put({ password: null, ttlSeconds: 60 }, true), { ok: true });
    for (const [field, change] of Object.entries({ host: "h2", port: 26, user: "v", security: "tls" })) {
      assert.deepEqual(await put({ password: null, [field]: change }, true), { ok: false, changed: field });
    }
    assert.equal(await storedPassword(), "secret");
  });

  it("is removed by an empty one", async () => {
    await put({});
    await put({ password: null });
    assert.equal(await storedPassword(), null);
  });

  it("of the configuration's own account is not stored", async () => {
    await file.store.accounts.configureDefault(
      aCheckedAccount({ id: "default", user: "u", password: "secret" }),
      file.clock.now(),
    );
    assert.equal((await file.store.accounts.get("default", file.clock.now()))?.hasPassword, false);
  });
});

describe("the configuration's own account", () => {
  it("takes mail without account_id; while it is not configured, what was accepted waits and says so", async () => {
    await file.store.accounts.configureDefault(aCheckedAccount({ id: "default" }), file.clock.now());
    assert.deepEqual(await file.store.messages.enqueue([aCheckedMessage({ id: "x" })], file.clock.now()), ["queued"]);
    await file.store.accounts.configureDefault(null, file.clock.now());
    const record = await file.store.messages.get("x", file.clock.now());
    assert.deepEqual(
      [record?.status, record?.accountId, record?.waiting?.reason],
      ["pending", null, "missing account configuration"],
    );
    await file.store.accounts.configureDefault(aCheckedAccount({ id: "default" }), file.clock.now());
    assert.ok(await file.store.queue.ready(file.clock.now()));
  });
});

describe("verification", () => {
  it("travels to one dispatcher and back, and a success ends a hold", async () => {
    await put({});
    assert.equal(await file.store.accounts.askVerification("nowhere", file.clock.now()), null);
    await file.store.accounts.hold("a", "maintenance", null, file.clock.now());
    const key = (await file.store.accounts.askVerification("a", file.clock.now()))!;
    assert.equal(await file.store.accounts.verification(key), null);
    const taken = await file.store.accounts.takeVerification(
      { process: 1, maxConnectionsPerAccount: 5 },
      file.clock.now(),
    );
    assert.deepEqual([taken?.key, taken?.account.password], [key, "secret"]);
    assert.equal(
      await file.store.accounts.takeVerification({ process: 2, maxConnectionsPerAccount: 5 }, file.clock.now()),
      null,
      "one dispatcher takes it",
    );
    await file.store.accounts.answerVerification(key, { ok: true, text: "235 welcome" }, file.clock.now());
    assert.deepEqual(await file.store.accounts.verification(key), { ok: true, text: "235 welcome" });
    assert.equal((await file.store.accounts.get("a", file.clock.now()))?.state, "ready");
  });
});

describe("verification and connections", () => {
  const TAKER = { maxConnectionsPerAccount: 1 };

  it("reserves the connection that it opens, and is left to whom has one when all are reserved", async () => {
    await put({});
    const { store, clock } = file;
    const register = () =>
      store.processes.register({ kind: "dispatcher", pid: 1, host: "h", version: "1" }, clock.now());
    const [one, two] = [await register(), await register()];
    await store.accounts.askVerification("a", clock.now());
    const first = await store.accounts.takeVerification({ process: one, ...TAKER }, clock.now());
    assert.deepEqual([first?.connectionShare, first?.reservedConnections], [1, 1]);
    await store.accounts.askVerification("a", clock.now());
    const watcher = await file.again();
    watcher.changed();
    assert.equal(await store.accounts.takeVerification({ process: two, ...TAKER }, clock.now()), null);
    assert.equal(watcher.changed(), false, "a look in vain wakes nobody");
    assert.ok(await store.accounts.takeVerification({ process: one, ...TAKER }, clock.now()));
    await store.queue.giveBackConnections(one, first!.accountKey, 0, clock.now());
    await store.accounts.askVerification("a", clock.now());
    assert.ok(await store.accounts.takeVerification({ process: two, ...TAKER }, clock.now()));
    await watcher.close();
  });
});

describe("processes", () => {
  const register = () =>
    file.store.processes.register({ kind: "reporter", pid: 1, host: "h", version: "1" }, file.clock.now());

  it("are struck off only with the beat that was watched, and then know it", async () => {
    const process = await register();
    const { beat } = (await file.store.processes.list())[0]!;
    assert.equal(await file.store.processes.beat(process, file.clock.now()), true);
    assert.equal(await file.store.processes.strikeOff(process, beat, file.clock.now()), false, "it has beaten since");
    assert.equal(await file.store.processes.strikeOff(process, beat + 1, file.clock.now()), true);
    assert.equal(await file.store.processes.beat(process, file.clock.now()), false);
    assert.notEqual(await register(), process, "a number is never given twice");
  });
});

describe("switches", () => {
  it("belong to suspend and activate after the first start", async () => {
    await file.store.service.seedActive(false);
    assert.equal((await file.store.service.status()).active, false);
    await file.store.service.seedActive(true);
    assert.equal((await file.store.service.status()).active, false);
    await file.store.service.setActive(true);
    assert.equal((await file.store.service.status()).active, true);
  });

  it("count run-nows", async () => {
    await Promise.all(Array.from({ length: 200 }, () => file.store.service.runNow()));
    assert.equal(await file.store.service.runNowCount(), 200);
  });

  it("seed the rules once, into an empty table", async () => {
    const rule = {
      name: "r",
      enabled: true,
      days: [0],
      startHour: 0,
      endHour: 23,
      crossMidnight: false,
      intervalMinutes: 5,
    };
    await file.store.rules.seed([rule]);
    const [seeded] = await file.store.rules.list();
    assert.equal(await file.store.rules.remove(seeded!.id), true);
    await file.store.rules.seed([rule]);
    assert.deepEqual(await file.store.rules.list(), []);
    await file.store.rules.add({ ...rule, name: "second" });
    await file.store.rules.add({ ...rule, name: "third" });
    const rules = await file.store.rules.list();
    assert.deepEqual(
      rules.map((one) => [one.name, one.priority, one.days]),
      [
        ["second", 1, [0]],
        ["third", 2, [0]],
      ],
    );
    assert.equal(await file.store.rules.setEnabled(rules[0]!.id, false), true);
    assert.equal(await file.store.rules.setEnabled(999, false), false);
  });
});
