import assert from "node:assert/strict";
import { test } from "node:test";
import { keepPresence } from "@async-mail/runtime/presence";
import { temporaryStore } from "../support/database.ts";
import { eventually, gate } from "../support/eventually.ts";

const LEASE_MS = 30_000;

test("a beat counts from before it was written", async (t) => {
  const { store, clock, close } = await temporaryStore();
  const written = [gate(), gate()];
  let beats = 0;
  const beat: typeof store.processes.beat = async (...given) => {
    await written[beats++]?.opened; // the file is busy for so long
    return store.processes.beat(...given);
  };
  const presence = await keepPresence({
    processes: { ...store.processes, beat },
    kind: "dispatcher",
    version: "1",
    leaseMs: LEASE_MS,
    clock,
    log: { struckOff: () => {}, wasStruckOff: () => {} },
    onError: (error) => assert.fail(String(error)),
  });
  t.after(async () => {
    for (const one of written) one.open();
    await presence.leave();
    await close();
  });
  const [first] = written;
  await clock.advance(5_000);
  await eventually(() => beats === 1);
  await clock.advance(14_000);
  assert.equal(presence.stands(), false, "no beat was written for more than half the lease");
  first?.open();
  await eventually(() => presence.stands());
  // Others saw it begin 14 s ago, and count from there.
  await clock.advance(1_001);
  assert.equal(presence.stands(), false);
});
