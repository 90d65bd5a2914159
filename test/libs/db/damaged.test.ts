import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import Database from "better-sqlite3";
import { type Claiming, claiming } from "./claiming.ts";

/** A row that is not what was written stops nothing but itself. */

let file: Claiming;
beforeEach(async () => {
  file = await claiming();
});
afterEach(() => file.close());

function spoil(sql: string, id: string): void {
  const db = new Database(file.path);
  const { changes } = db.prepare(sql.replaceAll("$id", `(SELECT key FROM messages WHERE id = '${id}')`)).run();
  assert.equal(changes, 1);
  db.close();
}

const SPOILED: [name: string, sql: string, error: RegExp][] = [
  ["no JSON as payload", "UPDATE payloads SET payload = '{\"from' WHERE message = $id", /payload cannot be read/],
  ["a payload that is no object", "UPDATE payloads SET payload = '7' WHERE message = $id", /payload cannot be read/],
  ["no payload", "DELETE FROM payloads WHERE message = $id", /payload is missing/],
  ["no JSON as envelope", "UPDATE payloads SET recipients = '[' WHERE message = $id", /envelope cannot be read/],
  ["no JSON as outcomes", "UPDATE messages SET recipients = '{}' WHERE key = $id", /recipients cannot be read/],
];

for (const [name, sql, wanted] of SPOILED)
  test(`a message with ${name} ends as an error that says so, is reported and listed; the others are sent`, async () => {
    const { store, clock } = file;
    const [before, broken, after] = await file.enqueue(3);
    spoil(sql, broken!);
    const answer = await file.answer();
    assert.ok(answer.kind === "claimed");
    assert.deepEqual(
      answer.claims.map(({ id }) => id),
      [before, after],
    );
    assert.equal(answer.damaged[0]?.id, broken);
    const record = await store.messages.get(broken!, clock.now());
    assert.equal(record?.status, "error");
    assert.match(record!.error!, wanted);
    const { records } = await store.messages.list({}, null, 10, clock.now());
    assert.equal(records.length, 3);
    const reports = await store.reports.due(10, clock.now());
    assert.deepEqual(
      reports.map(({ id }) => id),
      [broken],
    );
    assert.equal(await file.store.queue.ready(clock.now()), false, "nothing is claimed again and again");
  });

test("a damaged message that had reached somebody counts as sent to those", async () => {
  const { store, clock } = file;
  const [id] = await file.enqueue(1);
  const recipients = JSON.stringify([
    { address: "one@example.org", outcome: "accepted" },
    { address: "two@example.org", outcome: "waiting" },
  ]);
  spoil(`UPDATE messages SET recipients = '${recipients}' WHERE key = $id`, id!);
  spoil("UPDATE payloads SET payload = '{' WHERE message = $id", id!);
  await file.answer();
  const record = await store.messages.get(id!, clock.now());
  assert.equal(record?.status, "sent");
  assert.deepEqual(
    record?.recipients.map(({ outcome }) => outcome),
    ["accepted", "refused"],
  );
});

test("a damaged message whose dispatcher is lost is taken back like the others", async () => {
  const { store, clock } = file;
  const [, broken] = await file.enqueue(2);
  await file.claim();
  spoil("UPDATE messages SET recipients = '{}' WHERE key = $id", broken!);
  assert.equal(await store.processes.strikeOff(file.dispatcher, 0, clock.now()), true);
  assert.equal((await store.messages.get(broken!, clock.now()))?.status, "pending");
});
