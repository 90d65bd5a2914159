import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createRoom } from "@async-mail/dispatcher/attachments/room";

const NEVER = new AbortController().signal;
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

describe("room", () => {
  it("is given as far as it goes, first come first, then as others give it back", async () => {
    const room = createRoom(100);
    const entered: string[] = [];
    const take = async (name: string, amount: number) => {
      const leave = await room.take(amount, NEVER);
      entered.push(name);
      return leave;
    };
    const first = await take("first", 60);
    const second = take("second", 60);
    const third = take("third", 10);
    await nextTurn();
    assert.deepEqual(entered, ["first"], "the third waits behind the second");
    first();
    first(); // given back once
    await second;
    await third;
    assert.deepEqual(entered, ["first", "second", "third"]);
  });

  it("is given to one that is larger than all of it when nobody else has any", async () => {
    const room = createRoom(100);
    const leave = await room.take(10, NEVER);
    let entered = false;
    const large = room.take(500, NEVER).then(() => {
      entered = true;
    });
    await nextTurn();
    assert.equal(entered, false);
    leave();
    await large;
  });

  it("is not waited for after an abort, nor held up by one that no longer waits", async () => {
    const room = createRoom(100);
    const leave = await room.take(90, NEVER);
    const abort = new AbortController();
    const waiting = room.take(50, abort.signal);
    const behind = room.take(10, NEVER);
    abort.abort(new Error("too late"));
    await assert.rejects(waiting, /too late/);
    (await behind)();
    leave();
    await room.take(100, NEVER);
  });
});
