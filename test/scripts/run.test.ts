import assert from "node:assert/strict";
import { type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import test from "node:test";
import { ROOT } from "../support/processes.ts";

const launcher = join(ROOT, "scripts/run.mjs");

test("the launcher ends as its command ended", async () => {
  assert.deepEqual(await ended(run(["node", "-e", "process.exit(0)"])), 0);
  assert.deepEqual(await ended(run(["node", "-e", "process.exit(7)"])), 7);
  assert.deepEqual(await ended(run(["node", "-e", "process.kill(process.pid, 'SIGKILL')"])), 128 + 9);
  assert.deepEqual(await ended(run(["no-such-command"])), 127);
});

test("the launcher passes signals on and waits for the command to end", async () => {
  const script =
    "process.on('SIGTERM', () => setImmediate(() => process.exit(3))); setInterval(() => {}, 1000); console.log('up')";
  const child = run(["node", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  assert.ok(child.stdout);
  await once(child.stdout, "data");
  child.kill("SIGTERM");
  assert.equal(await ended(child), 3);
});

test("commands of the dependencies are found", async () => {
  assert.equal(await ended(run(["biome", "--version"])), 0);
});

function run(command: string[], options: SpawnOptions = { stdio: "ignore" }) {
  return spawn(process.execPath, [launcher, ...command], { cwd: ROOT, ...options });
}

async function ended(child: ReturnType<typeof spawn>): Promise<number | null> {
  const [code] = await once(child, "close");
  return code;
}
