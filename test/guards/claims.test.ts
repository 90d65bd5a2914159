import assert from "node:assert/strict";
import { test } from "node:test";
import { claiming } from "../libs/db/claiming.ts";

test("an outcome is written once", async (t) => {
  const file = await claiming();
  t.after(() => file.close());
  const [id] = await file.enqueue(1);
  const [claim] = await file.claim();
  assert.equal((await file.settle(claim!)).written, true);
  const late = await file.settle(claim!, { kind: "error", error: "too late", recipients: [], mailFromSent: true });
  assert.equal(late.written, false);
  const record = await file.store.messages.get(id!, file.clock.now());
  assert.deepEqual([record?.status, record?.error, record?.attempts], ["sent", null, 1]);
});

test("what is given back after a lost claim keeps the Date of its first attempt", async (t) => {
  const file = await claiming();
  t.after(() => file.close());
  const { store, clock } = file;
  await file.enqueue(1);
  const [first] = await file.claim();
  const other = await store.processes.register({ kind: "dispatcher", pid: 2, host: "h", version: "1" }, clock.now());
  await clock.advance(1_000);
  assert.equal(await store.processes.strikeOff(file.dispatcher, 0, clock.now()), true);
  const [second] = await file.claim({ process: other });
  await file.settle(second!, { kind: "given_back", reason: "stopping", mailFromSent: false });
  await clock.advance(1_000);
  const [third] = await file.claim({ process: other });
  assert.equal(third?.firstAttemptMs, first?.firstAttemptMs);
});
