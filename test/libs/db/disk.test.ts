import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { createDisk } from "@async-mail/db/sqlite/disk";
import { StorageUnavailable } from "@async-mail/db/store";
import { aCheckedMessage } from "../../support/messages.ts";
import { type Claiming, claiming } from "./claiming.ts";

let file: Claiming;
beforeEach(async () => {
  file = await claiming();
});
afterEach(() => file.close());

/** More than any disk has. */
const TOO_MUCH = 1e18;

test("a message that would fill the disk is refused with what is free and what is needed; others are stored", async () => {
  const messages = [aCheckedMessage({ id: "huge", accountId: "a", bytes: TOO_MUCH })];
  await assert.rejects(
    file.store.messages.enqueue(messages, file.clock.now()),
    (error: Error) => error instanceof StorageUnavailable && /nearly full: [\d.]+ MB are free/.test(error.message),
  );
  assert.equal(await file.store.messages.get("huge", file.clock.now()), null);
  await file.enqueue(1);
  assert.equal((await file.claim()).length, 1);
});

test("what is asked for, twice, and the log must fit beside the reserve", () => {
  const disk = createDisk(file.path);
  disk.mustHold(0);
  assert.throws(() => disk.mustHold(TOO_MUCH), StorageUnavailable);
  assert.equal(disk.isTight(), false, "a small log on a large disk");
});
