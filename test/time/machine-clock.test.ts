import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { eventually } from "../support/eventually.ts";
import { type MachineClock, machineClock } from "../support/machine-clock.ts";
import { ROOT } from "../support/processes.ts";
import { type Program, startProgram } from "../support/programs.ts";

type Reading = {
  name: string;
  wallMs: number;
  dateMs: number;
  monotonicMs: number;
  bootId: string;
  fixed: number;
  threadMs?: number;
};

const HOUR_MS = 3_600_000;

test("a process lives by the clock that its machine is given: wall, steady time, timers and threads", async () => {
  const clock = machineClock({ speed: 20, bootId: "another-boot" });
  clock.jump(5 * HOUR_MS);
  const program = readingClocks(clock);
  const start = await reading(program, "start");
  assert.equal(start.bootId, "another-boot");
  assert.equal(start.fixed, 5, "a date that is named is that date");
  assert.ok(Math.abs(start.wallMs - start.dateMs) < 1000, "one wall clock");
  assert.ok(start.monotonicMs > 0 && start.monotonicMs < clock.monotonicMs(), "the machine has just been booted");

  for (const [before, after] of [
    ["start", "promise"],
    ["promise", "promisified"],
    ["promisified", "callback"],
  ] as const) {
    const passed = between(await reading(program, before), await reading(program, after));
    assert.ok(passed.monotonicMs >= 480, `a pause of 500 ms took ${passed.monotonicMs} ms until ${after}`);
    // Of one reading, but for the moment between the two.
    assert.ok(Math.abs(passed.monotonicMs - passed.wallMs) < 1000);
  }
  const thread = await reading(program, "thread");
  assert.ok(Math.abs((thread.threadMs ?? 0) - thread.wallMs) < HOUR_MS, "threads too");
  assert.ok((await reading(program, "tick")).wallMs <= clock.wallMs());
  assert.ok((await reading(program, "tick")).monotonicMs <= clock.monotonicMs());
});

test("whoever sets the clock moves the wall and nothing else, in processes that run", async () => {
  const clock = machineClock();
  const program = readingClocks(clock);
  await reading(program, "tick");
  for (const jumpMs of [5 * HOUR_MS, -10 * HOUR_MS]) {
    const before = lastTick(program);
    clock.jump(jumpMs);
    const after = await eventually(() => {
      const tick = lastTick(program);
      return Math.abs(tick.wallMs - before.wallMs) > HOUR_MS && tick;
    }, 30_000);
    const passed = between(before, after);
    assert.ok(Math.abs(passed.wallMs - passed.monotonicMs - jumpMs) < 1000, `moved by ${passed.wallMs}`);
    assert.ok(Math.abs(clock.wallMs() - after.wallMs) < HOUR_MS);
  }
});

function readingClocks(clock: MachineClock): Program {
  return startProgram([join(ROOT, "test/time/clock-readings.child.ts")], { cwd: ROOT, env: clock.env });
}

function readings(program: Program): Reading[] {
  return program
    .stdout()
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

function reading(program: Program, name: string): Promise<Reading> {
  return eventually(
    () => {
      assert.equal(program.exit(), undefined, program.output());
      return readings(program).find((one) => one.name === name);
    },
    30_000,
    () => `the reading "${name}"\n${program.output()}`,
  );
}

function lastTick(program: Program): Reading {
  return readings(program).findLast((one) => one.name === "tick") as Reading;
}

function between(a: Reading, b: Reading) {
  return {
    wallMs: b.wallMs - a.wallMs,
    monotonicMs: b.monotonicMs - a.monotonicMs,
  };
}
