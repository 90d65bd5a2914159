import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createPaces } from "@async-mail/dispatcher/paces";

const FAST = 1;
const SLOW = 2;

function start() {
  let nowMs = 0;
  const paces = createPaces(() => nowMs);
  /** So many a millisecond leave for so long. */
  const leave = (accountKey: number, perMs: number, ms: number) => {
    for (let i = 0; i < perMs * ms; i += 1) paces.left(accountKey);
    nowMs += ms;
  };
  return { paces, leave };
}

describe("the pace of an account", () => {
  it("is what left just before, each account by itself", () => {
    const { paces, leave } = start();
    assert.deepEqual(paces.leaveWithin(80), new Map());
    leave(FAST, 5, 100);
    paces.left(SLOW);
    assert.equal(paces.leaveWithin(80).get(FAST), 400);
    assert.equal(paces.leaveWithin(80).get(SLOW), undefined, "one in 100 ms is none in 80");
  });

  it("is told apart from a long silence", () => {
    const { paces, leave } = start();
    leave(FAST, 5, 100);
    leave(SLOW, 0, 300);
    assert.ok(paces.quietMs(FAST) >= 300);
    paces.left(FAST);
    assert.equal(paces.quietMs(FAST), 0);
    assert.equal(paces.quietMs(SLOW), 400, "nothing has ever left");
  });

  it("is not believed before it was counted for a while, and forgotten little by little", () => {
    const { paces, leave } = start();
    leave(FAST, 5, 10);
    assert.equal(paces.leaveWithin(80).get(FAST), undefined);
    leave(FAST, 5, 40);
    assert.equal(paces.leaveWithin(80).get(FAST), 400);
    leave(FAST, 0, 50);
    assert.equal(paces.leaveWithin(80).get(FAST), 320, "a pause may have been the file's");
    leave(FAST, 0, 2000);
    assert.deepEqual(paces.leaveWithin(80), new Map(), "however seldom anybody looks");
  });
});
