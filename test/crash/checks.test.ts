import assert from "node:assert/strict";
import test from "node:test";
import type { Books } from "./books.ts";
import { copyFaults } from "./check-copies.ts";
import { largestWindow } from "./check-limit.ts";
import { recordFaults } from "./check-record.ts";
import { reportFaults } from "./check-reports.ts";
import type { Generation } from "./generation.ts";
import { type Copy, createMailBook } from "./mail-book.ts";
import { createPostBook, type PostEntry } from "./post-book.ts";
import type { MessageRecord } from "./service-client.ts";
import { createSyncBook, type Posted } from "./sync-book.ts";

const AT = Date.parse("2027-01-15T08:00:00Z");

const entry: PostEntry = {
  message: { id: "m", from: "m@crash.test", to: ["a@b.c"], cc: [], bcc: [], subject: "", body: "", priority: 2 },
  calls: [],
  acceptedAt: AT,
};
const sent: MessageRecord = {
  id: "m",
  status: "sent",
  priority: 2,
  sent_ts: AT / 1000,
  updated_at: new Date(AT + 100).toISOString(),
  attempts: 1,
  message_id: "<m@crash.test>",
  recipients: [{ address: "a@b.c", outcome: "accepted" }],
};
const copy: Copy = {
  id: "m",
  attempt: 1,
  account: "plain",
  recipients: ["a@b.c"],
  dispatcher: "d1-1",
  at: AT,
  reply: "whole",
  repliedAt: AT,
  messageId: "<m@crash.test>",
  date: "today",
  damage: null,
};

/** d1-1 was killed, but only after all that these tests tell. */
const generation: Generation = {
  name: "d1-1",
  kind: "dispatcher",
  pid: 1,
  startedAt: AT - 1000,
  signals: [],
  stops: [],
  end: { at: AT + 60_000, code: null, signal: "SIGKILL" },
  file: "/dev/null",
};

function booksWith(...copies: Copy[]): Books {
  const mail = createMailBook();
  for (const one of copies) mail.take(one);
  return { posts: createPostBook(), mail, sync: createSyncBook(), generation: () => generation };
}

test("a record that agrees with the mail server has no faults", () => {
  assert.deepEqual(recordFaults(entry, sent, booksWith(copy)), []);
  assert.deepEqual(copyFaults(sent, booksWith(copy)), []);
});

test("accepted without a copy, or an error despite one, is seen", () => {
  assert.match(String(recordFaults(entry, sent, booksWith())), /knows nothing of it/);
  const { sent_ts: _, ...rest } = sent;
  const recipients = [{ address: "a@b.c", outcome: "refused" as const }];
  const error: MessageRecord = { ...rest, status: "error", error_ts: AT / 1000, error: "no", recipients };
  assert.match(String(recordFaults(entry, error, booksWith(copy))), /without a recipient of the copy/);
  assert.deepEqual(recordFaults(entry, error, booksWith({ ...copy, reply: "half" })), []);
});

test("whoever waits has a reason", () => {
  const { sent_ts: _, ...rest } = sent;
  const recipients = [{ address: "a@b.c", outcome: "waiting" as const }];
  const waiting: MessageRecord = { ...rest, status: "pending", recipients };
  assert.match(String(recordFaults(entry, waiting, booksWith())), /without a reason/);
  assert.deepEqual(recordFaults(entry, { ...waiting, waiting: { reason: "its turn" } }, booksWith()), []);
});

test("a second copy needs an excuse, the same Message-ID and the same Date", () => {
  const second = { ...copy, at: AT + 50, attempt: 2 };
  assert.match(String(copyFaults(sent, booksWith(copy, second))), /got it twice/);
  assert.deepEqual(copyFaults(sent, booksWith({ ...copy, reply: "withheld" }, second)), []);
  const stopped = { ...generation, stops: [{ from: AT + 10, to: AT + 3000 }] };
  assert.deepEqual(copyFaults(sent, { ...booksWith(copy, second), generation: () => stopped }), []);
  const left = { ...generation, end: { at: AT + 60_000, code: 0, signal: null } };
  const lost = { ...sent, history: [{ at: new Date(AT + 10).toISOString(), claim: 1, outcome: "lost" }] };
  assert.deepEqual(copyFaults(lost, booksWith(copy, second)), []);
  assert.match(String(copyFaults(lost, { ...booksWith(copy, second), generation: () => left })), /got it twice/);
  assert.match(String(copyFaults(lost, booksWith(copy, { ...second, date: "tomorrow" }))), /different dates/);
  assert.match(String(copyFaults(lost, booksWith(copy, { ...second, messageId: "<n@crash.test>" }))), /Message-ID/);
});

test("what counts as reported was told as it is, and acknowledged", () => {
  const reported = { ...sent, reported_ts: AT / 1000 };
  const told = (changes: object, acknowledged = true): Posted => ({
    call: { number: 1, reporter: "r1-1", startedAt: AT, endedAt: AT, answer: "ok", items: 1 },
    item: {
      id: "m",
      account_id: null,
      priority: 2,
      sent_ts: AT / 1000,
      error_ts: null,
      error: null,
      deferred_ts: null,
      message_id: "<m@crash.test>",
      seq: 2,
      ...changes,
    },
    acknowledged,
  });
  const faults = (...posted: Posted[]) => String(reportFaults(reported, { before: posted, now: posted }, booksWith()));
  const waited = { sent_ts: null, deferred_ts: AT / 1000 };
  assert.equal(faults(told({ ...waited, seq: 1 }), told({})), "");
  assert.match(faults(), /was told: nothing/);
  assert.match(faults(told({}, false)), /never acknowledged/);
  assert.match(faults(told(waited)), /was told: deferred/);
  assert.match(faults(told({}), told({ ...waited, seq: 1 })), /seq 1 was reported after 2/);
  assert.match(faults(told({ deferred_ts: AT / 1000 })), /a report with the times/);
});

test("the largest window counts what the server saw within 60 s while the limit bound", () => {
  const begun = [0, 1, 59, 60, 61, 100].map((second) => ({
    account: "limited",
    id: "m",
    attempt: 1,
    dispatcher: "d1-1",
    at: AT + second * 1000,
    answer: "agree",
  }));
  assert.equal(largestWindow(begun, [{ from: AT, to: null }]).length, 4);
  assert.equal(largestWindow(begun, [{ from: AT, to: AT + 1500 }]).length, 2);
});
