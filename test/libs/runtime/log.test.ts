import assert from "node:assert/strict";
import test from "node:test";
import { createLog } from "@async-mail/runtime/log";

function collected(level = "debug") {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { lines, log: createLog({ level, process: "dispatcher", destination }) };
}

test("an event is one JSON line that says when, who and what", () => {
  const { lines, log } = collected();
  log.settled({ id: "m1", account: "a", outcome: "deferred", code: 451, attempts: 2, error: "451 later" });
  const { time, pid, ...rest } = lines[0]!;
  assert.match(String(time), /^\d{4}-\d\d-\d\dT.*Z$/);
  assert.equal(pid, process.pid);
  assert.deepEqual(rest, {
    level: "info",
    process: "dispatcher",
    event: "settled",
    id: "m1",
    account: "a",
    outcome: "deferred",
    code: 451,
    attempts: 2,
    error: "451 later",
    msg: "settled m1: deferred",
  });
});

test("at info, what left is not a line each, what did not leave is", () => {
  const { lines, log } = collected("info");
  log.claimed({ count: 3 });
  log.settled({ id: "m1", account: "a", outcome: "sent", attempts: 1 });
  log.settled({ id: "m2", account: "a", outcome: "error", attempts: 1, error: "550 no" });
  log.settled({ id: "m3", account: "a", outcome: "held", attempts: 0, error: "535 no" });
  assert.deepEqual(
    lines.map(({ id }) => id),
    ["m2", "m3"],
  );
});

test("an error is told by its own words, not by what hangs on it", () => {
  const { lines, log } = collected();
  const error = Object.assign(new Error("refused", { cause: new Error("ECONNREFUSED") }), {
    code: "ECONNECTION",
    request: { body: "Dear Sir", password: "hunter2" },
  });
  log.failed(error, { what: "report" });
  log.failed("a text", { what: "other" });
  const [first, second] = lines;
  assert.equal(first!.error, "refused");
  assert.equal(first!.code, "ECONNECTION");
  assert.equal(first!.cause, "Error: ECONNREFUSED");
  assert.match(String(first!.stack), /log\.test\.ts/);
  assert.doesNotMatch(JSON.stringify(first), /hunter2|Dear/);
  assert.equal(second!.error, "a text");
});

test("a database that cannot be used is told at once, and then seldom, however many meet it", () => {
  const { lines, log } = collected();
  for (let i = 0; i < 100; i += 1) log.storageUnavailable({ what: "settling", reason: "the disk is full" });
  assert.equal(lines.length, 1);
  assert.deepEqual(
    [lines[0]?.event, lines[0]?.times, lines[0]?.reason],
    ["storage_unavailable", 1, "the disk is full"],
  );
});
