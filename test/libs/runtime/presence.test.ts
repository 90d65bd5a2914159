import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { createClock } from "@async-mail/runtime/clock";
import { keepPresence, type Processes } from "@async-mail/runtime/presence";
import { eventually, gate } from "../../support/eventually.ts";

const LEASE_MS = 300;
const clock = createClock(0);

/** The store's table of processes, in memory, as several processes see it. */
function processTable() {
  const rows = new Map<number, { process: number; kind: "dispatcher"; beat: number }>();
  let last = 0;
  let broken: Error | null = null;
  const check = () => {
    if (broken) throw broken;
  };
  const processes: Processes = {
    async register() {
      check();
      last += 1;
      rows.set(last, { process: last, kind: "dispatcher", beat: 1 });
      return last;
    },
    async beat(process) {
      check();
      const row = rows.get(process);
      if (row) row.beat += 1;
      return row !== undefined;
    },
    async list() {
      check();
      return [...rows.values()].map((row) => ({ ...row }));
    },
    async strikeOff(process, beat) {
      check();
      return rows.get(process)?.beat === beat && rows.delete(process);
    },
    async leave(process) {
      rows.delete(process);
    },
  };
  return {
    rows,
    processes,
    breakDown(error: Error | null) {
      broken = error;
    },
  };
}

type Table = ReturnType<typeof processTable>;

async function join(context: TestContext, { processes }: Table, options: { clock?: typeof clock } = {}) {
  const events: string[] = [];
  const presence = await keepPresence({
    processes,
    kind: "dispatcher",
    version: "1.0.0",
    leaseMs: LEASE_MS,
    clock: options.clock ?? clock,
    log: {
      struckOff: ({ number }) => void events.push(`struck off ${number}`),
      wasStruckOff: ({ number }) => void events.push(`was struck off ${number}`),
    },
    onError: (_, what) => void events.push(`failed: ${what}`),
  });
  context.after(() => presence.leave());
  return { presence, events };
}

test("a process that beats stands, and is left alone", async (context) => {
  const table = processTable();
  const first = await join(context, table);
  const second = await join(context, table);
  const beats = () => Math.min(...[...table.rows.values()].map(({ beat }) => beat));
  // Three leases of beats.
  await eventually(() => beats() >= 18);
  assert.deepEqual([first.presence.process(), second.presence.process()], [1, 2]);
  assert.ok(first.presence.stands() && second.presence.stands());
  assert.deepEqual([...first.events, ...second.events], []);
});

test("one whose beat stands still for the lease is struck off, and not before", async (context) => {
  const table = processTable();
  const { events } = await join(context, table);
  const dead = await table.processes.register(
    { kind: "dispatcher", pid: 0, host: "h", version: "1" },
    { wallMs: 0, steadyMs: 0 },
  );
  const diedAtMs = clock.monotonicMs();
  await eventually(() => !table.rows.has(dead));
  assert.ok(clock.monotonicMs() - diedAtMs >= LEASE_MS, "it had its whole lease");
  await eventually(() => events.includes(`struck off ${dead}`));
});

test("one that beats slowly, but within the lease, is left alone", async (context) => {
  const table = processTable();
  const { presence, events } = await join(context, table);
  const now = { wallMs: 0, steadyMs: 0 };
  const slow = await table.processes.register({ kind: "dispatcher", pid: 0, host: "h", version: "1" }, now);
  for (let beat = 0; beat < 5; beat++) {
    const before = table.rows.get(presence.process())!.beat;
    await eventually(() => table.rows.get(presence.process())!.beat >= before + 4);
    assert.equal(await table.processes.beat(slow, now), true);
  }
  assert.deepEqual(events, []);
});

test("one that was struck off says so, no longer stands, and comes back under a new number", async (context) => {
  const table = processTable();
  const { presence, events } = await join(context, table);
  const lost: [number, boolean][] = [];
  presence.onLost((number) => void lost.push([number, presence.stands()]));
  table.rows.delete(1);
  await eventually(() => presence.process() === 2);
  assert.deepEqual(lost, [[1, false]], "told before it has the new number");
  assert.deepEqual(events, ["was struck off 1"]);
  assert.ok(presence.stands());
});

test("one that cannot beat no longer stands after half the lease, and stands again when it can", async (context) => {
  const table = processTable();
  const { presence, events } = await join(context, table);
  table.breakDown(new Error("database is locked"));
  const brokenAtMs = clock.monotonicMs();
  await eventually(() => !presence.stands());
  const stoodMs = clock.monotonicMs() - brokenAtMs;
  assert.ok(stoodMs < LEASE_MS, `before others may take its claims: ${stoodMs} ms`);
  assert.ok(events.includes("failed: beat"));
  table.breakDown(null);
  await eventually(() => presence.stands());
  assert.equal(presence.process(), 1);
});

test("it never strikes off itself, though its own beat stands still", async (context) => {
  const table = processTable();
  const { presence, events } = await join(context, table);
  table.processes.beat = async () => {
    throw new Error("database is locked");
  };
  const failures = () => events.filter((event) => event === "failed: beat").length;
  // Two leases of failing beats.
  await eventually(() => failures() >= 12);
  assert.ok(table.rows.has(presence.process()));
  assert.deepEqual(new Set(events), new Set(["failed: beat"]));
});

test("registering anew is tried until it succeeds", async (context) => {
  const table = processTable();
  const { presence, events } = await join(context, table);
  const { register } = table.processes;
  let failures = 0;
  table.processes.register = async (...self) => {
    failures += 1;
    if (failures < 3) throw new Error("database is locked");
    return register(...self);
  };
  table.rows.delete(1);
  await eventually(() => presence.process() === 2);
  assert.equal(failures, 3);
  assert.equal(events.filter((event) => event === "was struck off 1").length, 1, "lost once only");
  assert.ok(presence.stands());
});

test("time in which one did not look proves nothing against the others", async (context) => {
  const table = processTable();
  let offsetMs = 0;
  const stoppable = { ...clock, monotonicMs: () => clock.monotonicMs() + offsetMs };
  const { presence, events } = await join(context, table, { clock: stoppable });
  const now = { wallMs: 0, steadyMs: 0 };
  const other = await table.processes.register({ kind: "dispatcher", pid: 0, host: "h", version: "1" }, now);
  const seen = () => table.rows.get(presence.process())!.beat;
  const before = seen();
  await eventually(() => seen() >= before + 2);
  // Both stopped for ten leases, as when a machine's processes are frozen, and go on.
  offsetMs += 10 * LEASE_MS;
  assert.equal(presence.stands(), false, "until it has beaten again, it cannot know");
  const frozen = seen();
  await eventually(() => seen() >= frozen + 2);
  await table.processes.beat(other, now);
  await eventually(() => seen() >= frozen + 4);
  assert.deepEqual(events, []);
  assert.ok(table.rows.has(other));
});

test("leaving waits for the beat under way, which may have made a new row", async (context) => {
  const table = processTable();
  const { presence } = await join(context, table);
  const { opened, open } = gate();
  const beating = gate();
  table.processes.beat = async () => {
    table.rows.delete(1);
    beating.open();
    await opened;
    return false;
  };
  await beating.opened;
  const left = presence.leave();
  open();
  await left;
  // Whatever was still under way has its turn.
  await new Promise(setImmediate);
  assert.deepEqual([...table.rows.keys()], []);
});

test("leaving ends the beats and takes the row away", async (context) => {
  const table = processTable();
  const { presence, events } = await join(context, table);
  await presence.leave();
  assert.equal(table.rows.size, 0);
  assert.equal(presence.stands(), false);
  assert.deepEqual(events, []);
});

test("time in which nobody could beat proves nothing: no one is struck off for it", async (context) => {
  const table = processTable();
  const [first, second] = [await join(context, table), await join(context, table)];
  const { beat } = table.processes;
  let failures = 0;
  table.processes.beat = async () => {
    failures += 1;
    throw new Error("database or disk is full");
  };
  // Three leases of beats, of both.
  await eventually(() => failures >= 36);
  table.processes.beat = beat;
  const beats = () => [...table.rows.values()].map((row) => row.beat);
  const before = Math.max(...beats());
  await eventually(() => Math.min(...beats()) > before + 6);
  assert.deepEqual([...table.rows.keys()], [1, 2]);
  assert.ok([...first.events, ...second.events].every((event) => event === "failed: beat"));
});
