import assert from "node:assert/strict";
import { test } from "node:test";
import { doublingMs, holdDelayMs, retryDelayByAgeMs, retryDelayMs } from "@async-mail/domain/backoff";

test("backoff: doubles up to a bound", () => {
  assert.deepEqual(
    [0, 1, 2, 9, 5000].map((times) => doublingMs(1000, times, 300_000)),
    [1000, 2000, 4000, 300_000, 300_000],
  );
});

test("backoff: an account is held longer with each fault in a row", () => {
  assert.deepEqual([0, 1, 2, 3, 8, 9, 1000].map(holdDelayMs), [5000, 5000, 10_000, 20_000, 640_000, 900_000, 900_000]);
});

test("backoff: the last retry delay repeats, jitter adds up to a tenth", () => {
  assert.deepEqual(
    [0, 1, 2].map((attempts) => retryDelayMs(attempts, [100, 200], 0)),
    [100, 200, 200],
  );
  assert.deepEqual(
    [0, 0.5, 1].map((jitter) => retryDelayMs(0, [100], jitter)),
    [100, 105, 110],
  );
});

test("backoff: by age it takes the delay that the tries would have come to", () => {
  const delays = [60, 300, 900];
  assert.deepEqual(
    [0, 59, 60, 359, 360, 1e9].map((age) => retryDelayByAgeMs(age, delays, 0)),
    [60, 60, 300, 300, 900, 900],
  );
  assert.equal(retryDelayByAgeMs(-5, delays, 0), 60);
});
