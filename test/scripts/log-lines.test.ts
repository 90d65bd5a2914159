import assert from "node:assert/strict";
import test from "node:test";
import { isTrouble, readable } from "../../scripts/log-lines.ts";

const line = (fields: object) =>
  JSON.stringify({ time: "2027-01-15T08:00:00.000Z", process: "api", pid: 1, ...fields });

test("a log line is shown as time, level, words and what else it carries", () => {
  const shown = readable(
    line({ level: "warn", event: "account_held", account: "shop", reason: "535 no", msg: "held" }),
  );
  assert.match(shown, /^\d\d:\d\d:\d\d WARN {2}held account=shop reason="535 no"$/);
});

test("a stack keeps its lines", () => {
  const shown = readable(
    line({ level: "error", msg: "claim failed", error: "x", stack: "Error: x\n    at a\n    at b" }),
  );
  assert.match(shown, /ERROR claim failed error=x\nError: x\n {4}at a\n {4}at b$/);
});

test("what is no log line is shown as it is", () => {
  for (const text of ["SyntaxError: x", "{ not JSON", ""]) assert.equal(readable(text), text);
});

test("warnings, errors and text from nowhere are trouble, the rest is not", () => {
  assert.equal(isTrouble(line({ level: "info" })), false);
  assert.equal(isTrouble(line({ level: "debug" })), false);
  assert.equal(isTrouble(""), false);
  for (const level of ["warn", "error", "fatal"]) assert.equal(isTrouble(line({ level })), true);
  assert.equal(isTrouble("Error: out of memory"), true);
});
