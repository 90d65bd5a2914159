import assert from "node:assert/strict";
import test from "node:test";
import { coalesced } from "@async-mail/runtime/coalesced";
import { testClock } from "../../support/clock.ts";

test("calls that come together share one run and its result", async () => {
  let runs = 0;
  const run = coalesced(async () => ++runs, testClock());
  assert.deepEqual(await Promise.all([run(), run(), run()]), [1, 1, 1]);
});

test("calls too soon after a run share the next, which begins 20 ms after it", async () => {
  const time = testClock();
  let runs = 0;
  const run = coalesced(async () => ++runs, time);
  await run();
  const [second, third] = [run(), run()];
  await time.advance(19);
  assert.equal(runs, 1);
  await time.advance(1);
  assert.deepEqual(await Promise.all([second, third]), [2, 2]);
  await time.advance(20);
  assert.equal(await run(), 3);
});

test("a run that fails fails for all who share it, and not for the next", async () => {
  const time = testClock();
  let faulty = true;
  const run = coalesced(async () => {
    if (faulty) throw new Error("disk full");
    return "well";
  }, time);
  const [one, other] = [run(), run()];
  await assert.rejects(one, /disk full/);
  await assert.rejects(other, /disk full/);
  faulty = false;
  await time.advance(20);
  assert.equal(await run(), "well");
});
