import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { ROOT } from "../support/processes.ts";
import { ROWS } from "./cases.ts";
import { promise } from "./table.ts";

test("each case has a name of its own", () => {
  const names = ROWS.flatMap((row) => row.cases.map(({ name }) => name));
  assert.deepEqual(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  );
});

test("the table of faults in docs/ has a row for each, with what must happen, and nothing went wrong", () => {
  const lines = readFileSync(join(ROOT, "docs/faults.md"), "utf8").split("\n");
  for (const row of ROWS) {
    const found = lines.filter((line) => line.startsWith(promise(row)));
    assert.equal(found.length, 1, `"${promise(row)}": run npm run bench:faults -- --write`);
    assert.doesNotMatch(found[0] ?? "", /\*\*/);
  }
});
