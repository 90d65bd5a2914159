import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { configExample, configTable } from "@async-mail/runtime/config-text";
import { readIni } from "@async-mail/runtime/ini-file";
import { environmentNames, settingRows } from "@async-mail/runtime/settings";
import { ROOT } from "../../support/processes.ts";

test("config.ini.example is what the table of settings makes of it", () => {
  const file = readFileSync(join(ROOT, "config.ini.example"), "utf8");
  assert.equal(file, configExample(), "write configExample() to config.ini.example");
});

test("the example names every key once, and each becomes one when its semicolon is taken away", () => {
  const { entries, faults } = readIni(configExample().replace(/^;(\w+ =)/gm, "$1"));
  assert.deepEqual(faults, []);
  const names = entries.map(({ section, key }) => `${section}.${key}`);
  assert.deepEqual(
    names,
    settingRows().map(({ name }) => name),
  );
});

test("the README's table has a row for every setting, with the environment's names", () => {
  const rows = configTable().trim().split("\n").slice(2);
  assert.equal(rows.length, settingRows().length);
  assert.ok(
    rows.every((row) => row.split(" | ").length === 4),
    "four columns, whatever stands in them",
  );
  assert.ok(rows.some((row) => row.startsWith("| smtp.password | SMTP_PASSWORD or SMTP_PASSWORD_FILE | none |")));
  assert.ok(rows.some((row) => row.startsWith("| delivery.retry_delays_seconds |  | `60,300,900,3600,7200` |")));
});

test("the names of the environment include every file of a secret", () => {
  const names = environmentNames();
  for (const name of ["ASYNC_MAIL_CONFIG", "DB_PATH", "FETCH_URL", "SMTP_PASSWORD", "SMTP_PASSWORD_FILE"]) {
    assert.ok(names.includes(name), name);
  }
  assert.ok(!names.includes("SMTP_HOST_FILE"));
});
