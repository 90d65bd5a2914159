import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { aCheckedAccount } from "../../support/messages.ts";
import { type Claiming, claiming } from "./claiming.ts";

const AFTER_MS = 60_000;

let file: Claiming;
beforeEach(async () => {
  file = await claiming({ limits: { perMinute: null, perHour: 1, perDay: null, recipientsPerDay: null } });
});
afterEach(() => file.close());

const stalled = () => file.store.service.stalled(AFTER_MS, file.clock.now());

test("mail that could go out and sees no attempt is told, with how long and why", async () => {
  await file.enqueue(2);
  await file.clock.advance(AFTER_MS - 1);
  assert.equal(await stalled(), null);
  await file.clock.advance(1);
  assert.deepEqual(await stalled(), {
    accounts: ["a"],
    oldestMs: AFTER_MS,
    reason: "no dispatcher has a free slot or connection for it",
  });
  await file.store.processes.leave(file.dispatcher, file.clock.now());
  assert.equal((await stalled())?.reason, "no dispatcher is running");
});

test("what waits for a limit, a hold, a time or an activation is not stalled", async () => {
  await file.enqueue(2);
  const [one] = await file.claim({ slots: 1 });
  await file.settle(one!);
  await file.clock.advance(10 * AFTER_MS);
  assert.equal(await stalled(), null, "limited");
  await file.clock.advance(3_600_000);
  assert.ok(await stalled(), "the limit has freed long ago");
  await file.store.accounts.hold("a", "maintenance", null, file.clock.now());
  assert.equal(await stalled(), null, "held");
  await file.store.accounts.release("a", file.clock.now());
  await file.store.service.setActive(false);
  assert.equal(await stalled(), null, "suspended");
});

test("mail of the default account that is not configured any more is told too", async () => {
  const { clock, store } = file;
  await store.accounts.configureDefault(aCheckedAccount({ id: "default" }), clock.now());
  await file.enqueue(1, { accountId: null });
  await store.accounts.configureDefault(null, clock.now());
  await clock.advance(AFTER_MS);
  const stall = await stalled();
  assert.deepEqual(stall?.accounts, ["default"]);
  assert.match(stall!.reason, /smtp\.host/);
});
