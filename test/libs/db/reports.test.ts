import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { Outcome } from "@async-mail/domain/outcome";
import { type TemporaryStore, temporaryStore } from "../../support/database.ts";
import { aCheckedAccount, aCheckedMessage } from "../../support/messages.ts";

const SENT: Outcome = { kind: "sent", code: 250, response: "ok", recipients: [], mailFromSent: true };

let file: TemporaryStore;
let dispatcher: number;

beforeEach(async () => {
  file = await temporaryStore();
  await file.store.accounts.put(aCheckedAccount({ id: "a" }), { keepPassword: false }, file.clock.now());
  dispatcher = await file.store.processes.register(
    { kind: "dispatcher", pid: 1, host: "h", version: "1" },
    file.clock.now(),
  );
  await file.store.messages.enqueue([aCheckedMessage({ id: "x", accountId: "a" })], file.clock.now());
});
afterEach(() => file.close());

const due = () => file.store.reports.due(10, file.clock.now());
const acknowledge = async (rows = due()) => file.store.reports.acknowledge(await rows, file.clock.now());
const waiting = async () => (await file.store.service.counts(file.clock.now())).reportsWaiting;

async function attempt(outcome: Outcome) {
  const request = {
    process: dispatcher,
    slots: 1,
    capacity: 9,
    bytes: 1e9,
    held: new Map(),
    maxConnectionsPerAccount: 5,
  };
  const answer = await file.store.queue.claimDue(request, file.clock.now());
  assert.ok(answer.kind === "claimed" && answer.claims.length === 1);
  await file.store.queue.settle(answer.claims[0]!, outcome, file.clock.now());
}

function deferral(word: "retry" | "attachment"): Outcome {
  const untilMs = file.clock.now().steadyMs + 1_000;
  return { kind: "deferred", class: word, reason: `${word}: later`, untilMs, countsAttempt: true, recipients: [] };
}

describe("reports", () => {
  it("wait for what ended, not for what was merely accepted", async () => {
    assert.deepEqual(await due(), []);
    await attempt(SENT);
    const [report] = await due();
    assert.deepEqual([report?.id, report?.sentMs, report?.error], ["x", file.clock.now().wallMs, null]);
    assert.equal(await waiting(), 1);
    assert.equal(await acknowledge(), 1);
    assert.deepEqual(await due(), []);
    assert.equal(await waiting(), 0);
    assert.equal((await file.store.messages.get("x", file.clock.now()))?.reportedMs, file.clock.now().wallMs);
  });

  it("wait for a deferral once for each class, and again for the end", async () => {
    await attempt(deferral("retry"));
    assert.equal(await acknowledge(), 1);
    await file.clock.advance(1_000);
    await attempt(deferral("retry"));
    assert.deepEqual(await due(), [], "the client knows of a retry");
    await file.clock.advance(1_000);
    await attempt(deferral("attachment"));
    assert.equal((await due())[0]?.deferredClass, "attachment");
    assert.equal(await acknowledge(), 1);
    await file.clock.advance(1_000);
    await attempt(SENT);
    assert.equal((await file.store.messages.get("x", file.clock.now()))?.reportedMs, null);
    assert.equal(await acknowledge(), 1);
    assert.equal(await waiting(), 0);
  });

  it("are marked for the state that was posted and no other", async () => {
    await attempt(deferral("retry"));
    const posted = await due();
    await file.clock.advance(1_000);
    await attempt(SENT);
    assert.equal(await file.store.reports.acknowledge(posted, file.clock.now()), 0);
    const [again] = await due();
    assert.ok(again!.sentMs !== null && again!.seq > posted[0]!.seq);
    assert.equal(await waiting(), 1);
  });

  it("carry a number that grows over deletes, re-submission, and a file restored from a backup", async () => {
    await attempt(SENT);
    const first = (await due())[0]!.seq;
    await file.store.messages.remove(["x"], file.clock.now());
    await file.store.messages.enqueue([aCheckedMessage({ id: "x", accountId: "a" })], file.clock.now());
    await attempt(SENT);
    const second = (await due())[0]!.seq;
    assert.ok(second > first);
    assert.ok(second >= file.clock.now().wallMs * 1000, "ahead of whatever a forgotten past has given");
    assert.ok(Number.isSafeInteger(second));
  });

  it("can be kept back, and begin anew with the next state", async () => {
    await attempt(deferral("retry"));
    await file.store.reports.postpone(await due(), file.clock.now().steadyMs + 500, file.clock.now());
    assert.deepEqual(await due(), []);
    assert.equal(await file.store.reports.nextDueMs(), file.clock.now().steadyMs + 500);
    await file.clock.advance(500);
    assert.equal((await due())[0]?.tries, 1);
    await file.store.reports.postpone(await due(), file.clock.now().steadyMs + 5_000, file.clock.now());
    await file.clock.advance(500);
    await attempt(SENT);
    assert.equal((await due())[0]?.tries, 0);
    assert.equal(await waiting(), 1);
  });

  it("given up take an ended message with them, and leave one that is still on its way", async () => {
    await attempt(deferral("retry"));
    await file.clock.advance(1_000);
    assert.equal(await file.store.reports.giveUp(file.clock.now().wallMs, 10, file.clock.now()), 1);
    assert.deepEqual(await due(), []);
    await attempt(SENT);
    assert.equal(await file.store.reports.giveUp(file.clock.now().wallMs, 10, file.clock.now()), 0, "not yet that old");
    await file.clock.advance(1);
    assert.equal(await file.store.reports.giveUp(file.clock.now().wallMs, 10, file.clock.now()), 1);
    assert.equal(await file.store.messages.get("x", file.clock.now()), null);
    assert.equal(await waiting(), 0);
  });
});
