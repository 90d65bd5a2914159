import assert from "node:assert/strict";
import { test } from "node:test";
import { paceAt, paceEndsMs, slower } from "@async-mail/domain/pace";

const MINUTE = 60_000;

test("pace: half of what was sent in the last minute, and half the connections", () => {
  assert.deepEqual(slower(null, { sentInMinute: 120, connections: 5 }, 0), { gapMs: 1000, connections: 2, sinceMs: 0 });
});

test("pace: the first throttling never slows below 30 a minute, nor does it leave the pace as it was", () => {
  assert.equal(slower(null, { sentInMinute: 0, connections: 1 }, 0).gapMs, 2000);
  assert.deepEqual(slower(null, { sentInMinute: 1e6, connections: 1 }, 0), { gapMs: 40, connections: 1, sinceMs: 0 });
});

test("pace: throttled again it halves again, down to one a minute", () => {
  let pace = slower(null, { sentInMinute: 30, connections: 8 }, 0);
  assert.deepEqual(pace, { gapMs: 2000, connections: 4, sinceMs: 0 });
  for (const gapMs of [4000, 8000, 16_000, 32_000, 60_000, 60_000]) {
    pace = slower(pace, { sentInMinute: 30, connections: 8 }, 10);
    assert.equal(pace.gapMs, gapMs);
  }
  assert.equal(pace.connections, 1);
});

test("pace: every minute without another doubles it, until nothing is left", () => {
  const pace = slower(null, { sentInMinute: 120, connections: 10 }, 500);
  assert.deepEqual(paceAt(pace, 10, 500 + MINUTE - 1), pace);
  assert.deepEqual(paceAt(pace, 10, 500 + MINUTE), { gapMs: 500, connections: 10, sinceMs: 500 });
  assert.equal(paceEndsMs(pace), 500 + 6 * MINUTE);
  assert.equal(paceAt(pace, 10, 500 + 6 * MINUTE - 1)?.gapMs, 32);
  assert.equal(paceAt(pace, 10, 500 + 6 * MINUTE), null);
});

test("pace: what had grown back is halved, not what it was at first", () => {
  const pace = slower(null, { sentInMinute: 0, connections: 8 }, 0);
  const again = slower(pace, { sentInMinute: 60, connections: 8 }, 2 * MINUTE);
  assert.deepEqual(again, { gapMs: 2000, connections: 4, sinceMs: 2 * MINUTE });
});
