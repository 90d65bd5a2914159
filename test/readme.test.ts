import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { configTable } from "@async-mail/runtime/config-text";
import { readResults, tables, withSpeedTable } from "../bench/support/results.ts";
import { withConfigTable } from "../scripts/readme-table.ts";
import { ROOT } from "./support/processes.ts";

const readme = readFileSync(join(ROOT, "README.md"), "utf8");
const documents = { "README.md": readme, "CONTRIBUTING.md": readFileSync(join(ROOT, "CONTRIBUTING.md"), "utf8") };

test("the table of settings in the README is that of the code", () => {
  assert.equal(readme, withConfigTable(readme, configTable()), "run: npm run docs");
});

test("the figures of speed in the README and bench/RESULTS.md are those of bench/results.json", () => {
  const results = readResults();
  assert.equal(readme, withSpeedTable(readme, results), "run: npm run bench -- --write");
  assert.equal(readFileSync(join(ROOT, "bench/RESULTS.md"), "utf8"), tables(results));
});

test("every script that the documents name exists", () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  for (const [name, text] of Object.entries(documents)) {
    const named = text.matchAll(/\b(?:npm run (?:-s )?|pnpm )(?!install)([a-z:-]+)|\bnpm (start|test)\b/g);
    for (const [command, run, short] of named) assert.ok(scripts[run ?? short ?? ""], `${name}: ${command}`);
  }
});

test("every file that the documents link to or run exists", () => {
  for (const [name, text] of Object.entries(documents)) {
    const links = [
      ...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g),
      ...text.matchAll(/\bnode ((?:apps|bench)\/\S+\.ts)/g),
    ];
    for (const [, path = ""] of links) assert.ok(existsSync(join(ROOT, path)), `${name}: ${path}`);
  }
});
