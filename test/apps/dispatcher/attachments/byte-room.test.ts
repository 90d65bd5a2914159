import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createByteRoom } from "@async-mail/dispatcher/attachments/byte-room";

const NEVER = new AbortController().signal;

/** Whether each has entered, in the order of the calls. */
function entering(...takes: Promise<void>[]) {
  const entered = takes.map(() => false);
  takes.forEach(
    (take, index) =>
      void take.then(
        () => (entered[index] = true),
        () => {},
      ),
  );
  return async () => {
    await new Promise((resolve) => setImmediate(resolve));
    return entered;
  };
}

describe("room for bytes", () => {
  it("is given as far as it goes, then as others give it back", async () => {
    const room = createByteRoom(100);
    const entered = entering(room.take(1, 60, NEVER), room.take(2, 60, NEVER), room.take(3, 40, NEVER));
    assert.deepEqual(await entered(), [true, false, true]);
    room.giveBack(1);
    assert.deepEqual(await entered(), [true, true, true]);
  });

  it("is given to the oldest message whatever it wants, so that messages with several files never wait for one another", async () => {
    const room = createByteRoom(100);
    const first = entering(room.take(1, 50, NEVER), room.take(2, 50, NEVER));
    assert.deepEqual(await first(), [true, true]);
    const second = entering(room.take(2, 50, NEVER), room.take(1, 50, NEVER));
    assert.deepEqual(await second(), [false, true]);
    room.giveBack(1);
    assert.deepEqual(await second(), [true, true]);
  });

  it("is given to one that is larger than all of it when it is the oldest", async () => {
    const room = createByteRoom(100);
    const entered = entering(room.take(1, 10, NEVER), room.take(2, 500, NEVER));
    assert.deepEqual(await entered(), [true, false]);
    room.giveBack(1);
    assert.deepEqual(await entered(), [true, true]);
  });

  it("is not waited for after an abort", async () => {
    const room = createByteRoom(100);
    await room.take(1, 100, NEVER);
    const abort = new AbortController();
    const waiting = room.take(2, 1, abort.signal);
    abort.abort(new Error("too late"));
    await assert.rejects(waiting, /too late/);
    room.giveBack(1);
    await room.take(3, 100, NEVER);
  });
});
