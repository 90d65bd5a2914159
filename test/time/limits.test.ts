import assert from "node:assert/strict";
import test from "node:test";
import { eventually } from "../support/eventually.ts";
import { machineClock } from "../support/machine-clock.ts";
import { chance } from "../support/random.ts";
import { mostInWindow } from "../support/seen-sends.ts";
import { startLimitedRun } from "./limited-run.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

for (const share of [0, 0.15])
  test(`four dispatchers never exceed 20 a minute${share > 0 ? ", though they are killed in the middle of it" : ""}`, async (t) => {
    const random = chance("4711").next;
    const account = { limit_per_minute: 20, max_connections: 3 };
    const kills = share > 0 ? { kills: { share, random } } : {};
    const run = await startLimitedRun({
      account,
      messages: 200,
      clock: machineClock({ speed: share > 0 ? 10 : 20 }),
      leaseSeconds: 15,
      ...kills,
    });
    t.after(run.stop);
    // Two windows and a half, whatever the kills cost.
    await run.seen(50, 120_000);
    const most = mostInWindow(run.sends, MINUTE_MS);
    assert.ok(most.begun <= 20, `${most.begun} begun in one minute`);
    if (share > 0) assert.ok(run.killed > 0);
    if (share === 0) assert.equal(most.begun, 20, "and all of the limit is used");
    // One that the machine stopped for longer than the lease still has connections when others open theirs.
    const { max } = run.service.smtp.connections;
    if (run.lapses() === 0) assert.ok(max <= 3, `${max} connections at once`);
    t.diagnostic(`${run.killed} killed, ${run.lapses()} taken for dead; ${JSON.stringify(most)}`);
    await run.stop();
  });

test("four dispatchers never exceed the recipients of a day, and go on when it is over", async (t) => {
  const account = { limit_recipients_per_day: 20 };
  const clock = machineClock({ bootId: "one-day" });
  const message = { to: ["a@example.org", "b@example.org", "c@example.org"] };
  const run = await startLimitedRun({ account, messages: 10, clock, leaseSeconds: 30, message });
  t.after(run.stop);
  const { service } = run;
  const limited = async () => (await service.api.get("/account/limited")).body;
  await run.seen(6, 60_000);
  await eventually(async () => (await limited()).state === "limited", 30_000, "the limit");
  await service.client.reports(6, 30_000);
  assert.equal(run.sends.length, 6, "18 recipients; the next message has three");
  const { until } = await limited();
  assert.ok(Math.abs(Date.parse(until) - clock.wallMs() - DAY_MS) < 10 * MINUTE_MS, `until ${until}`);

  // The machine is off for a day.
  await service.restart(machineClock({ bootId: "another-day", wallMs: clock.wallMs() + DAY_MS }).env);
  await run.seen(10, 60_000);
  await run.stop();
});
