import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import test, { type TestContext } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { ROOT } from "../../support/processes.ts";

const PROGRAM = join(ROOT, "test/libs/runtime/shutdown.child.ts");

type Line = { event: string; code?: number; reason?: string; error?: string };

async function start(context: TestContext, closing: string, graceMs = 10_000) {
  const child = spawn(process.execPath, [PROGRAM, closing, String(graceMs)], { stdio: ["ignore", "pipe", "inherit"] });
  context.after(() => child.kill("SIGKILL"));
  const lines: Line[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(JSON.parse(line)));
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  const said = (event: string) => eventually(() => lines.find((line) => line.event === event), 10_000, event);
  await said("ready");
  return { lines, exited, said, signal: (signal: NodeJS.Signals) => child.kill(signal) };
}

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  test(`${signal} stops, closes, and exits 0`, async (context) => {
    const child = await start(context, "well");
    child.signal(signal);
    assert.equal(await child.exited, 0);
    assert.deepEqual(
      child.lines.map(({ event }) => event),
      ["ready", "stopping", "closing", "stopped"],
    );
    assert.equal(child.lines[1]!.reason, signal);
  });
}

test("a second signal within a second of the first is the same one, and changes nothing", async (context) => {
  const child = await start(context, "until_deadline", 2000);
  child.signal("SIGINT");
  await child.said("stopping");
  child.signal("SIGINT");
  child.signal("SIGTERM");
  await child.said("deadline");
  assert.equal(await child.exited, 1);
  assert.equal(child.lines.at(-1)!.reason, "the grace ran out");
});

test("a second signal later than that ends it at once, with 1", async (context) => {
  const child = await start(context, "hangs", 60_000);
  child.signal("SIGTERM");
  await child.said("second_counts");
  child.signal("SIGINT");
  assert.equal(await child.exited, 1);
  assert.equal(child.lines.at(-1)!.reason, "a second SIGINT");
});

test("when the grace runs out it ends with 1, though closing hangs", async (context) => {
  const child = await start(context, "hangs", 500);
  child.signal("SIGTERM");
  assert.equal(await child.exited, 1);
  assert.deepEqual(
    child.lines.map(({ event }) => event),
    ["ready", "stopping", "closing", "deadline", "stopped"],
  );
});

test("what had to be cut at the deadline is an exit with 1, though all was given back", async (context) => {
  const child = await start(context, "until_deadline", 500);
  child.signal("SIGTERM");
  assert.equal(await child.exited, 1);
});

test("closing that fails is logged, and ends with 1", async (context) => {
  const child = await start(context, "fails");
  child.signal("SIGTERM");
  assert.equal(await child.exited, 1);
  assert.equal((await child.said("failed")).error, "cannot close");
});

test("an error that nobody caught is logged, and ends with 1", async (context) => {
  const child = await start(context, "throws_before");
  assert.equal(await child.exited, 1);
  assert.equal((await child.said("failed")).error, "a bug");
});

test("a fault that the operator mends is told in its own words, not as a bug with a stack", async (context) => {
  const child = await start(context, "refused_before");
  assert.equal(await child.exited, 1);
  assert.equal((await child.said("stopped")).reason, "not our file");
  assert.ok(!child.lines.some(({ event }) => event === "failed"));
});

test("a process may stop by itself, with its own code and reason", async (context) => {
  const child = await start(context, "exits");
  assert.equal(await child.exited, 3);
  assert.equal((await child.said("stopping")).reason, "the schema is newer than this program");
  assert.ok(
    child.lines.some(({ event }) => event === "closing"),
    "in good order",
  );
});
