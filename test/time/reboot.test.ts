import assert from "node:assert/strict";
import test from "node:test";
import { eventually } from "../support/eventually.ts";
import { type MachineClock, machineClock } from "../support/machine-clock.ts";
import { aMessage } from "../support/messages.ts";
import { mostInWindow, seeSends } from "../support/seen-sends.ts";
import { startService } from "../support/service.ts";

const SPEED = 10;
const PATIENCE_MS = 60_000;
const LIMIT = 5;
const TEN_DAYS_MS = 864_000_000;

for (const [name, wallShiftMs] of [
  ["goes on as it was", 0],
  ["has gone back by an hour", -3_600_000],
] as const)
  test(`a power cut and a new boot, whose monotonic clock begins anew and whose wall clock ${name}`, async (t) => {
    let clock: MachineClock = machineClock({ speed: SPEED, bootId: "first-boot", uptimeMs: TEN_DAYS_MS });
    // The mail server's own clock knows of no boot.
    const steady = machineClock({ speed: SPEED });
    const seen = seeSends(steady.monotonicMs);
    const service = await startService({ env: clock.env, smtp: seen.smtp });
    t.after(() => service.stop());
    const { host, port } = service.smtp;
    await service.api.post("/account", { id: "limited", host, port, security: "none", limit_per_minute: LIMIT });
    await service.api.addMessages(
      ...Array.from({ length: LIMIT + 2 }, () => aMessage({ account_id: "limited", from: "limited@example.com" })),
    );
    // Reported is settled: nothing is left in doubt that would have to be sent again.
    await service.client.reports(LIMIT, PATIENCE_MS);
    const acceptedMs = steady.monotonicMs();
    const deferred_ts = clock.wallMs() / 1000 + 120;
    await service.api.addMessages(aMessage({ id: "scheduled", from: "scheduled@example.com", deferred_ts }));

    const { api, reporter, dispatchers } = service.processes;
    for (const proc of [api, reporter, ...dispatchers]) proc.kill("SIGKILL");
    clock = machineClock({ speed: SPEED, bootId: "second-boot", wallMs: clock.wallMs() + wallShiftMs });
    await service.restart(clock.env);
    assert.ok(clock.monotonicMs() < TEN_DAYS_MS, "it has just been booted");
    await service.api.addMessages(aMessage({ id: "new", from: "new@example.com" }));

    await service.smtp.received(LIMIT + 4, PATIENCE_MS);
    const began = (from: string) => seen.all.filter((one) => one.from === `${from}@example.com`);
    assert.deepEqual(mostInWindow(began("limited"), 60_000), { begun: LIMIT, ended: LIMIT, touching: LIMIT });
    // Steady time stands still while the machine is off: what it measured then was of no use to anyone.
    const waitedMs = (began("scheduled")[0]?.beganMs ?? 0) - acceptedMs;
    assert.ok(waitedMs >= 119_000, `scheduled in 120 s, sent after ${waitedMs} ms`);

    const reported = () =>
      new Set(service.client.calls.flatMap((call) => call.body.delivery_report.map(({ id }) => id)));
    await eventually(() => reported().size === LIMIT + 4, PATIENCE_MS, "all reports");
    assert.equal(seen.all.length, LIMIT + 4, "each once");
    await service.stop();
  });
