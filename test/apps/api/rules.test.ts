import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { type RunningApi, startApi } from "./running-api.ts";

let running: RunningApi;
before(async () => {
  running = await startApi();
});
after(() => running.stop());

const NIGHT = { name: "night", start_hour: 22, end_hour: 6, cross_midnight: true, interval_minutes: 30 };

test("rules are added, listed by position, switched and deleted; each call answers all", async () => {
  assert.deepEqual((await running.api.get("/commands/rules")).body, { ok: true, rules: [] });

  const first = await running.api.post("/commands/rules", { ...NIGHT, days: [0, 1, 2, 3, 4] });
  assert.equal(first.status, 200);
  assert.equal(first.body.ok, true);
  const { id, priority, ...shown } = first.body.rules[0];
  assert.deepEqual(shown, { ...NIGHT, enabled: true, days: [0, 1, 2, 3, 4] });
  assert.equal(typeof id, "number");
  assert.equal(typeof priority, "number");

  const day = { name: "day", start_hour: 6, end_hour: 22 };
  const second = (await running.api.post("/commands/rules", { ...day, enabled: false })).body.rules;
  assert.deepEqual(
    second.map(({ name }: { name: string }) => name),
    ["night", "day"],
  );
  assert.ok(second[0].priority < second[1].priority);
  assert.deepEqual(
    [second[1].enabled, second[1].days, second[1].cross_midnight, second[1].interval_minutes],
    [false, [0, 1, 2, 3, 4, 5, 6], false, 1],
  );

  const switched = await running.api.patch(`/commands/rules/${second[1].id}`, { enabled: true });
  assert.equal(switched.body.rules[1].enabled, true);
  assert.deepEqual((await running.api.get("/commands/rules")).body, switched.body);

  const left = await running.api.delete(`/commands/rules/${id}`);
  assert.deepEqual(
    left.body.rules.map(({ name }: { name: string }) => name),
    ["day"],
  );
});

test("cross_midnight is what was sent, by default false, whatever the hours", async () => {
  const sent: [rule: object, stored: boolean][] = [
    [{ name: "x" }, false],
    [{ name: "x", start_hour: 8 }, false],
    [{ name: "x", cross_midnight: false }, false],
    [{ name: "x", cross_midnight: true }, true],
  ];
  for (const [rule, stored] of sent) {
    const { body } = await running.api.post("/commands/rules", rule);
    const added = body.rules.at(-1);
    assert.equal(added.cross_midnight, stored, JSON.stringify(rule));
    assert.equal("warnings" in body, false);
    await running.api.delete(`/commands/rules/${added.id}`);
  }
});

for (const id of ["4711", "0", "-1", "x", "1.5"]) {
  test(`rule ${id} is unknown: 404`, async () => {
    const expected = { ok: false, error: "rule not found", detail: "rule not found" };
    const patched = await running.api.patch(`/commands/rules/${id}`, { enabled: true });
    assert.deepEqual([patched.status, patched.body], [404, expected]);
    const deleted = await running.api.delete(`/commands/rules/${id}`);
    assert.deepEqual([deleted.status, deleted.body], [404, expected]);
  });
}

const bad: object[] = [
  { ...NIGHT, start_hour: 24 },
  { ...NIGHT, end_hour: -1 },
  { ...NIGHT, days: [7] },
  { ...NIGHT, days: "monday" },
  { ...NIGHT, interval_minutes: 0 },
  { ...NIGHT, name: 5 },
];
for (const rule of bad) {
  test(`${JSON.stringify(rule)} is a 422, and nothing is added`, async () => {
    const before = (await running.api.get("/commands/rules")).body;
    const { status, body } = await running.api.post("/commands/rules", rule);
    assert.equal(status, 422);
    assert.equal(body.detail[0].loc[0], "body");
    assert.deepEqual((await running.api.get("/commands/rules")).body, before);
  });
}

test("rules of the configuration are only for an empty table", async () => {
  const rules = JSON.stringify([{ name: "seeded", interval_minutes: 7, start_hour: 0, end_hour: 23 }]);
  const env = { SCHEDULER_RULES: rules };
  const first = await startApi({ env });
  const seeded = (await first.api.get("/commands/rules")).body.rules;
  assert.deepEqual(
    seeded.map(({ name }: { name: string }) => name),
    ["seeded"],
  );
  await first.api.delete(`/commands/rules/${seeded[0].id}`);
  await first.stop();

  const second = await startApi({ env, folder: first.proc.folder });
  assert.deepEqual((await second.api.get("/commands/rules")).body.rules, []);
  await second.stop();
});
