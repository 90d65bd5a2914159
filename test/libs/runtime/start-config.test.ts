import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { ROOT } from "../../support/processes.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const PROGRAM = join(ROOT, "test/libs/runtime/start-config.child.ts");

/** A process whose main.ts begins like all others. */
function start(ini: string, args: string[], env: Record<string, string> = {}) {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, "config.ini"), ini);
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], { cwd, env, encoding: "utf8" });
  return { status, stdout, stderr };
}

const FIVE_FAULTS = `[server]
port = http
[delivery]
lease_second = 30
default_priority = 9
[smpt]
host = relay.lan
[smtp]
password = half#other
`;

test("--check prints all five faults of a file, and exits 1", () => {
  const { status, stdout, stderr } = start(FIVE_FAULTS, ["--check"]);
  assert.equal(status, 1);
  assert.equal(stdout, "");
  const lines = stderr.trim().split("\n");
  assert.equal(lines[0], "api: the configuration has 5 faults");
  assert.equal(lines.length, 6, stderr);
  assert.match(stderr, /\[server\] port = "http" \(config\.ini line 2\): wanted a whole number/);
  assert.match(stderr, /\[delivery\] lease_second = "30" \(config\.ini line 4\).*did you mean lease_seconds\?/);
  assert.match(stderr, /\[delivery\] default_priority = "9" \(config\.ini line 5\): wanted 0, 1, 2 or 3/);
  assert.match(stderr, /\[smpt\] \(config\.ini line 6\).*did you mean smtp\?/);
  assert.match(stderr, /\[smtp\] password = "\*{8}" \(config\.ini line 9\): wanted in quotes/);
});

test("the same faults refuse the start", () => {
  const { status, stdout, stderr } = start(FIVE_FAULTS, []);
  assert.deepEqual([status, stdout], [1, ""]);
  assert.match(stderr, /5 faults/);
});

test("--check prints the configuration in force, and exits 0 without going on", () => {
  const { status, stdout, stderr } = start("[delivery]\ntest_mode = true\n", ["--check"], { API_TOKEN: "hunter2" });
  assert.deepEqual([status, stderr], [0, ""]);
  assert.match(stdout, /^api_token = \*{8} +; API_TOKEN$/m);
  assert.match(stdout, /; warning: \[delivery\] test_mode/);
  assert.doesNotMatch(stdout, /hunter2|went on/);
});

test("without --check it goes on, and logs its warnings", () => {
  const { status, stdout } = start("[delivery]\ntest_mode = true\n", []);
  assert.equal(status, 0);
  const [warning, last] = stdout.trim().split("\n");
  const { event, level, msg, process } = JSON.parse(warning!);
  assert.deepEqual({ event, level, process }, { event: "warning", level: "warn", process: "api" });
  assert.match(msg, /test_mode/);
  assert.equal(last, "went on with port 8000");
});
