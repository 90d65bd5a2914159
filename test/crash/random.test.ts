import assert from "node:assert/strict";
import test from "node:test";
import { chance } from "../support/random.ts";
import { messagePlan, sessionPlan } from "./mail-faults.ts";
import { randomMessage } from "./message.ts";
import { syncAnswer } from "./sync-answers.ts";

test("a seed decides the same again, in whatever order it is asked", () => {
  const decisions = [
    () => randomMessage("7", "r1-1", 0),
    () => messagePlan("7", "plain", "r1-1", 2),
    () => sessionPlan("7", "login", 3),
    () => syncAnswer("7", 4, ["r1-1", "r1-2"]),
  ];
  const forth = decisions.map((decide) => JSON.stringify(decide()));
  const back = decisions.toReversed().map((decide) => JSON.stringify(decide()));
  assert.deepEqual(back.toReversed(), forth);
});

test("another seed, name or attempt decides otherwise", () => {
  const first = (seed: string, ...names: (string | number)[]) => chance(seed, ...names).next();
  const all = [first("7", "a", 1), first("8", "a", 1), first("7", "b", 1), first("7", "a", 2), first("7", "a1")];
  assert.equal(new Set(all).size, all.length);
});

test("chances are as large as they are said to be", () => {
  const random = chance("7");
  const count = 10_000;
  const happened = Array.from({ length: count }, () => random.happens(0.3)).filter(Boolean).length;
  assert.ok(Math.abs(happened / count - 0.3) < 0.02, `${happened} of ${count}`);
  const rare = Array.from({ length: count }, () => random.weighted([[9, "a"] as const, [1, "b"] as const])).filter(
    (one) => one === "b",
  ).length;
  assert.ok(Math.abs(rare / count - 0.1) < 0.02, `${rare} of ${count}`);
});
