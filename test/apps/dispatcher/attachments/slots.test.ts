import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createSlots } from "@async-mail/dispatcher/attachments/slots";

const NEVER = new AbortController().signal;

describe("slots", () => {
  it("are so many for each kind, and so many together", async () => {
    const slots = createSlots({ each: 2, all: 3 });
    const order: string[] = [];
    const take = async (name: string, kind: string) => {
      const leave = await slots.take(kind, NEVER);
      order.push(name);
      return leave;
    };
    const first = take("a1", "a");
    const second = take("a2", "a");
    const third = take("a3", "a");
    const fourth = take("b1", "b");
    const fifth = take("b2", "b");
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(order, ["a1", "a2", "b1"]);
    (await first)();
    (await first)(); // given back once
    await third;
    assert.deepEqual(order, ["a1", "a2", "b1", "a3"]);
    (await second)();
    await fifth;
    assert.deepEqual(order, ["a1", "a2", "b1", "a3", "b2"]);
    (await fourth)();
  });

  it("are not waited for after an abort, nor lost to one that no longer waits", async () => {
    const slots = createSlots({ each: 1, all: 1 });
    const leave = await slots.take("a", NEVER);
    const abort = new AbortController();
    const waiting = slots.take("a", abort.signal);
    abort.abort(new Error("too late"));
    await assert.rejects(waiting, /too late/);
    leave();
    (await slots.take("b", NEVER))();
  });
});
