import assert from "node:assert/strict";
import { test } from "node:test";
import { withRest } from "@async-mail/reporter/rest";

/** What a pass of `passMs` that wants to wait 1 s answers, and how long was slept. */
async function rested(passMs: number) {
  let nowMs = 0;
  const slept: number[] = [];
  const clock = {
    monotonicMs: () => nowMs,
    sleep: async (ms: number) => void slept.push(ms),
  };
  const pass = async () => {
    nowMs += passMs;
    return { waitMs: 1000 };
  };
  const { waitMs } = await withRest(pass, clock)(new AbortController().signal);
  return { waitMs, slept };
}

test("a pass that takes long is followed by a rest, which counts as waiting", async () => {
  assert.deepEqual(await rested(10), { waitMs: 910, slept: [90] });
});

test("a short pass needs no rest", async () => {
  assert.deepEqual(await rested(1), { waitMs: 1000, slept: [] });
});

test("no rest makes a report late", async () => {
  assert.deepEqual(await rested(500), { waitMs: 750, slept: [250] });
});
