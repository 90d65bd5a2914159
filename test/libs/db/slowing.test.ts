import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import type { Outcome } from "@async-mail/domain/outcome";
import { aCheckedAccount } from "../../support/messages.ts";
import { type Claiming, claiming } from "./claiming.ts";

const THROTTLED: Outcome = {
  kind: "held",
  reason: "432 4.3.2 too many connections",
  code: 432,
  response: "4.3.2 too many connections",
  mailFromSent: true,
  throttled: true,
  end: null,
};

let file: Claiming;
beforeEach(async () => {
  file = await claiming();
});
afterEach(() => file.close());

const account = async () => (await file.store.accounts.get("a", file.clock.now()))!;

/** Throttles, and lets the hold pass and its probe succeed. */
async function throttle() {
  const [one] = await file.claim({ slots: 1 });
  const { held } = await file.settle(one!, THROTTLED);
  await file.clock.advance(held!.untilMs - file.clock.now().steadyMs);
  const [probe] = await file.claim();
  assert.equal((await file.settle(probe!)).released, true);
  return held!;
}

test("a throttled account goes on one message at a time, a gap apart, over half the connections", async () => {
  await file.enqueue(20);
  const held = await throttle();
  assert.deepEqual(held.slowed && [held.slowed.gapMs, held.slowed.connections], [2000, 4]);
  assert.equal((await file.claim()).length, 0, "not at once after the probe");
  await file.clock.advance(1999);
  assert.equal(await file.store.queue.ready(file.clock.now()), false);
  await file.clock.advance(1);
  const [next, ...more] = await file.claim();
  assert.equal(more.length, 0);
  assert.equal(next?.connectionShare, 4);
  const { state, slowed } = await account();
  assert.equal(state, "ready");
  assert.deepEqual(slowed, {
    reason: "432 4.3.2 too many connections",
    gapMs: 2000,
    connections: 4,
    untilMs: slowed!.untilMs,
  });
});

test("it recovers by itself, faster every minute", async () => {
  await file.enqueue(60);
  await throttle();
  await file.clock.advance(60_000);
  assert.equal((await account()).slowed?.gapMs, 1000);
  assert.equal((await file.claim())[0]?.connectionShare, 8);
  await file.clock.advance(6 * 60_000);
  assert.equal((await account()).slowed, null);
  assert.equal((await file.claim()).length, 10);
});

test("many replies to what was under way together slow it once", async () => {
  await file.enqueue(20);
  const claims = await file.claim({ slots: 5 });
  for (const one of claims) await file.settle(one, THROTTLED);
  assert.equal((await account()).slowed?.gapMs, 2000);
});

test("a burst of throttled and of sent messages slows it once, and only the probe ends its hold", async () => {
  await file.enqueue(20);
  const claims = await file.claim({ slots: 10 });
  const settled = [];
  for (const [i, one] of claims.entries()) settled.push(await file.settle(one, i % 2 === 0 ? THROTTLED : undefined));
  assert.equal(settled.filter(({ held }) => held !== null).length, 1);
  assert.equal(settled.filter(({ released }) => released).length, 0);
  assert.equal((await account()).slowed?.gapMs, 2000);
});

test("an account without a number of its own shows no more connections than it had", async () => {
  await file.store.accounts.put(
    aCheckedAccount({ id: "a", maxConnections: null }),
    { keepPassword: false },
    file.clock.now(),
  );
  await file.enqueue(20);
  await throttle();
  await file.clock.advance(5 * 60_000);
  assert.ok((await account()).slowed!.connections <= 8);
});

test("deleting messages long after does not bring it back", async () => {
  const ids = await file.enqueue(20);
  await throttle();
  await file.clock.advance(3_600_000);
  await file.store.messages.remove([ids.at(-1)!], file.clock.now());
  assert.equal(await file.store.queue.ready(file.clock.now()), true);
});

test("a waiting message says so, and until when; another account does not wait", async () => {
  const ids = await file.enqueue(20);
  await throttle();
  const record = await file.store.messages.get(ids.at(-1)!, file.clock.now());
  assert.equal(record?.waiting?.reason, "account slowed, a message every 2 s: 432 4.3.2 too many connections");
  assert.equal(record?.waiting?.untilMs, file.clock.now().wallMs + 2000);
  const other = aCheckedAccount({ id: "b" });
  await file.store.accounts.put(other, { keepPassword: false }, file.clock.now());
  await file.enqueue(3, { accountId: "b" });
  assert.deepEqual(new Set((await file.claim()).map((one) => one.account.id)), new Set(["b"]));
});

test("changing the account ends it", async () => {
  await file.enqueue(20);
  await throttle();
  const changed = aCheckedAccount({ id: "a", host: "other.example.com" });
  await file.store.accounts.put(changed, { keepPassword: false }, file.clock.now());
  assert.equal((await account()).slowed, null);
  assert.equal((await file.claim()).length, 10);
});
