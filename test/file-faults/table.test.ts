import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { ROOT } from "../support/processes.ts";
import { FILE_FAULTS } from "./cases.ts";
import { promise } from "./table.ts";

test("each case has a name of its own", () => {
  const names = FILE_FAULTS.map(({ name }) => name);
  assert.deepEqual(names, [...new Set(names)]);
});

test("the table of servers of files in docs/ has a row for each case, and nothing went wrong", () => {
  const lines = readFileSync(join(ROOT, "docs/faults.md"), "utf8").split("\n");
  for (const one of FILE_FAULTS) {
    const found = lines.filter((line) => line.startsWith(promise(one)));
    assert.equal(found.length, 1, `"${promise(one)}": run npm run bench:file-faults -- --write`);
    assert.doesNotMatch(found[0] ?? "", /\*\*/);
  }
});
