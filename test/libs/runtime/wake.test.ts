import assert from "node:assert/strict";
import test from "node:test";
import { createClock } from "@async-mail/runtime/clock";
import { createWake } from "@async-mail/runtime/wake";
import { testClock } from "../../support/clock.ts";

const clock = createClock(0);
const forever = new AbortController().signal;

test("it wakes soon after a change in the file", async () => {
  let changed = false;
  const wake = createWake({ changed: () => changed, clock });
  setTimeout(() => {
    changed = true;
  }, 30);
  const before = clock.monotonicMs();
  await wake.wait(10_000, forever);
  const waited = clock.monotonicMs() - before;
  assert.ok(waited >= 25 && waited < 1000, `${waited} ms`);
});

test("without a change it wakes when the time is over", async () => {
  const time = testClock();
  const wake = createWake({ changed: () => false, clock: time });
  let woken = false;
  const waiting = wake.wait(500, forever).then(() => {
    woken = true;
  });
  await time.advance(499);
  assert.equal(woken, false);
  await time.advance(1);
  await waiting;
});

test("a nudge wakes it at once, also one that came before the wait", async () => {
  const wake = createWake({ changed: () => false, clock });
  const waiting = wake.wait(60_000, forever);
  wake.nudge();
  await waiting;
  wake.nudge();
  await wake.wait(60_000, forever);
});

test("a nudge, one for every message sent, makes no error", async () => {
  let pause: AbortSignal | undefined;
  const sleep = (ms: number, signal?: AbortSignal) => {
    pause = signal;
    return clock.sleep(ms, signal);
  };
  const wake = createWake({ changed: () => false, clock: { ...clock, sleep } });
  const waiting = wake.wait(60_000, forever);
  wake.nudge();
  await waiting;
  assert.ok(pause?.aborted);
  assert.equal(pause.reason instanceof Error, false);
});

test("a nudge is used up by one wait", async () => {
  const time = testClock();
  const wake = createWake({ changed: () => false, clock: time });
  wake.nudge();
  await wake.wait(60_000, forever);
  let woken = false;
  const waiting = wake.wait(60_000, forever).then(() => {
    woken = true;
  });
  await time.advance(1000);
  await new Promise(setImmediate);
  assert.equal(woken, false);
  wake.nudge();
  await waiting;
});

test("it ends when aborted, however seldom it looks", async () => {
  const time = testClock();
  const wake = createWake({ changed: () => false, clock: time, idleMs: 60_000 });
  const stop = new AbortController();
  const waiting = wake.wait(3_600_000, stop.signal);
  await time.advance(10_000);
  stop.abort();
  await waiting;
  await wake.wait(60_000, stop.signal);
});

test("it looks closely for a while after there was work, and slowly when idle", async () => {
  const time = testClock();
  let looks = 0;
  let changed = false;
  const wake = createWake({
    changed() {
      looks += 1;
      return changed;
    },
    clock: time,
  });
  const looksIn = async (ms: number) => {
    looks = 0;
    await time.advance(ms);
    return looks;
  };
  let waiting = wake.wait(3_600_000, forever);
  assert.ok((await looksIn(1000)) <= 20, "slowly at first");

  // Another process beats: no work came of it.
  changed = true;
  await time.advance(100);
  await waiting;
  changed = false;
  waiting = wake.wait(3_600_000, forever);
  assert.ok((await looksIn(1000)) <= 20, "slowly still");

  wake.nudge();
  await waiting;
  waiting = wake.wait(3_600_000, forever);
  assert.ok((await looksIn(1000)) >= 90, "closely after work");
  await time.advance(5000);
  assert.ok((await looksIn(1000)) <= 20, "slowly again");
  wake.worked();
  await time.advance(60);
  assert.ok((await looksIn(1000)) >= 90, "a pass said that it had work");
  wake.nudge();
  await waiting;
});
