import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../support/processes.ts";
import { GUARDS } from "./guards.ts";

/** Keeps the list true; that the tests really fail without the guards takes minutes: `npm run test:guards`. */

const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

test("each guard stands where the list says, once", () => {
  for (const { guard, file, code, without } of GUARDS) {
    const found = read(file).split(code).length - 1;
    assert.equal(found, 1, `${guard}: ${JSON.stringify(code)} occurs ${found} times in ${file}`);
    assert.notEqual(code, without);
  }
});

test("each guard has a name of its own, and a test that exists", () => {
  assert.equal(new Set(GUARDS.map(({ guard }) => guard)).size, GUARDS.length);
  for (const { guard, test: file, fails } of GUARDS)
    assert.ok(read(file).includes(fails), `${guard}: ${file} has no test "${fails}"`);
});
