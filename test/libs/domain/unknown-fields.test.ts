import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest, unknownFields } from "@async-mail/domain/unknown-fields";

const KNOWN = ["id", "from", "to", "subject", "reply_to", "deferred_ts", "priority"];

test("unknown fields: each is named, known ones are not", () => {
  assert.deepEqual(unknownFields({ id: 1, subjcet: 2, colour: 3 }, KNOWN), [
    'unknown field "subjcet", did you mean "subject"?',
    'unknown field "colour"',
  ]);
  assert.deepEqual(unknownFields({ id: 1, to: 2 }, KNOWN), []);
});

test("unknown fields: a guess only where one is near", () => {
  const guesses = [
    ["ID", "id"],
    ["form", "from"],
    ["reply-to", "reply_to"],
    ["replyTo", "reply_to"],
    ["deferred", "deferred_ts"],
    ["prio", "priority"],
    ["x", null],
    ["x".repeat(5000), null],
  ] as const;
  for (const [word, guess] of guesses) assert.equal(nearest(word, KNOWN), guess, word.slice(0, 20));
});

test("unknown fields: a flood of them is named in part, and costs little", () => {
  const flood = Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`field${index}`, 1]));
  const started = performance.now();
  const warnings = unknownFields(flood, KNOWN);
  assert.ok(performance.now() - started < 1000);
  assert.equal(warnings.length, 11);
  assert.equal(warnings[10], "99990 more unknown fields");
});
