import assert from "node:assert/strict";
import test from "node:test";
import { createClock } from "@async-mail/runtime/clock";
import { runLoop } from "@async-mail/runtime/loop";
import { testClock } from "../../support/clock.ts";
import { eventually, gate } from "../../support/eventually.ts";

const clock = createClock(0);
const never = () => assert.fail("no pass fails here");

test("passes follow one another at the wait that each asks for", async () => {
  const time = testClock();
  const stop = new AbortController();
  const passedAt: number[] = [];
  const startMs = time.monotonicMs();
  const waits = [100, 5000, 60_000];
  const loop = runLoop({
    pass: async () => ({ waitMs: waits[passedAt.push(time.monotonicMs() - startMs) - 1] ?? 60_000 }),
    clock: time,
    signal: stop.signal,
    onError: never,
  });
  await eventually(() => passedAt.length === 1);
  await time.advance(10_000);
  assert.deepEqual(passedAt, [0, 100, 5100]);
  stop.abort();
  await loop;
});

test("failing passes never end the loop; each waits what onError says", async () => {
  const time = testClock();
  const stop = new AbortController();
  const failures: unknown[] = [];
  let passes = 0;
  const loop = runLoop({
    async pass() {
      passes += 1;
      throw new Error(`pass ${passes}`);
    },
    // A wake that never lets it wait: after a failure it is not asked, or the loop would spin.
    wake: { wait: async () => {} },
    clock: time,
    signal: stop.signal,
    onError(error) {
      failures.push((error as Error).message);
      return 1000;
    },
  });
  await eventually(() => passes === 1);
  for (let pass = 0; pass < 50; pass++) await time.advance(1000);
  assert.equal(passes, 51);
  assert.equal(failures.at(-1), "pass 51");
  stop.abort();
  await loop;
  assert.equal(passes, 51);
});

test("a wake that fails is a failure like any other", async () => {
  const time = testClock();
  const stop = new AbortController();
  const failures: string[] = [];
  let passes = 0;
  const loop = runLoop({
    async pass() {
      passes += 1;
      return { waitMs: 500 };
    },
    wake: {
      async wait() {
        throw new Error("disk I/O error");
      },
    },
    clock: time,
    signal: stop.signal,
    onError(error) {
      failures.push((error as Error).message);
      return 1000;
    },
  });
  await eventually(() => failures.length === 1);
  await time.advance(1000);
  await eventually(() => passes === 2);
  stop.abort();
  await loop;
});

test("a stop lets the running pass end, and begins no other", async () => {
  const stop = new AbortController();
  const { opened, open } = gate();
  let passes = 0;
  let ended = false;
  const loop = runLoop({
    async pass(signal) {
      passes += 1;
      assert.equal(signal, stop.signal);
      await opened;
      return { waitMs: 0 };
    },
    clock,
    signal: stop.signal,
    onError: never,
  }).then(() => {
    ended = true;
  });
  await eventually(() => passes === 1);
  stop.abort();
  await clock.sleep(5);
  assert.equal(ended, false);
  open();
  await loop;
  assert.equal(passes, 1);
});

test("a stop ends the wait", async () => {
  const stop = new AbortController();
  let passes = 0;
  const loop = runLoop({
    async pass() {
      passes += 1;
      return { waitMs: 3_600_000 };
    },
    clock,
    signal: stop.signal,
    onError: never,
  });
  await eventually(() => passes === 1);
  stop.abort();
  await loop;
});

test("passes without a wait leave room for everything else", async () => {
  const stop = new AbortController();
  const loop = runLoop({
    // Synchronous all through, as storage is.
    pass: () => Promise.resolve({ waitMs: 0 }),
    clock,
    signal: stop.signal,
    onError: never,
  });
  await clock.sleep(5);
  stop.abort();
  await loop;
});

test("a pass that had work tells the wake, one that had none does not", async () => {
  const stop = new AbortController();
  const told: string[] = [];
  const waits = [0, 0, 1000];
  await runLoop({
    async pass() {
      told.push("pass");
      return { waitMs: waits.shift()! };
    },
    wake: {
      worked: () => void told.push("worked"),
      async wait() {
        stop.abort();
      },
    },
    clock,
    signal: stop.signal,
    onError: never,
  });
  assert.deepEqual(told, ["pass", "worked", "pass", "worked", "pass"]);
});
