import assert from "node:assert/strict";
import test from "node:test";
import { eventually } from "../support/eventually.ts";
import { machineClock } from "../support/machine-clock.ts";
import { aMessage } from "../support/messages.ts";
import { mostInWindow, seeSends } from "../support/seen-sends.ts";
import { type Service, startService } from "../support/service.ts";
import { startSmtpServer } from "../support/smtp-server.ts";

const HOUR_MS = 3_600_000;
/** Of the machine's clock, which runs ten times as fast as ours. */
const SPEED = 10;
const PATIENCE_MS = 60_000;

test("mail flows and is reported while the wall clock is set back and forth by hours", async (t) => {
  const clock = machineClock({ speed: SPEED });
  const service = await startService({ dispatchers: 2, env: clock.env });
  t.after(() => service.stop());
  let count = 0;
  for (const jumpMs of [0, 5 * HOUR_MS, -10 * HOUR_MS, 5 * HOUR_MS]) {
    clock.jump(jumpMs);
    const before = Math.floor(clock.wallMs() / 1000) - 1;
    // The second is there in case that the clock was set while the first was accepted.
    for (const id of [`at-once-${count}`, `after-${count}`]) {
      await service.api.addMessages(aMessage({ id }));
      count += 1;
      await service.smtp.received(count, PATIENCE_MS);
      await service.client.reports(count, PATIENCE_MS);
    }
    const last = (await service.client.reports(count)).at(-1);
    const after = Math.ceil(clock.wallMs() / 1000) + 1;
    assert.ok(last?.sent_ts && last.sent_ts >= before && last.sent_ts <= after, "told in the time that clients see");
  }
  assert.deepEqual(lostProcesses(service), [], "nobody was taken for dead");
  assert.deepEqual(new Set(await service.stop()), new Set([0]));
});

for (const hours of [5, -5])
  test(`what waits when the wall clock moves by ${hours} h waits as long as it would have`, async (t) => {
    const clock = machineClock({ speed: SPEED });
    const beganMs = new Map<string, number[]>();
    const see = (name: string) => {
      const times = [...(beganMs.get(name) ?? []), clock.monotonicMs()];
      beganMs.set(name, times);
      return times.length;
    };
    const service = await startService({
      env: clock.env,
      // Both waits are far shorter than the jump, and so is the age at which a message is given up.
      config: "[delivery]\nretry_delays_seconds = 30\nmax_age_seconds = 3600\n",
      smtp: {
        script: {
          onMail: (from) =>
            see(from) === 1 && from.startsWith("retried") ? { code: 451, text: "4.3.0 try again" } : undefined,
        },
      },
    });
    t.after(() => service.stop());
    const strict = await startSmtpServer({
      auth: "required",
      script: {
        onAuth: () => (see("login") === 1 ? { code: 535, text: "5.7.8 wrong password" } : undefined),
        onMail: (from) => void see(from),
      },
    });
    t.after(() => strict.close());
    const { host, port } = strict;
    await service.api.post("/account", { id: "held", host, port, user: "u", password: "p", security: "none" });

    const acceptedMs = clock.monotonicMs();
    const deferred_ts = clock.wallMs() / 1000 + 30;
    await service.api.addMessages(
      aMessage({ id: "scheduled", from: "scheduled@example.com", deferred_ts }),
      aMessage({ id: "retried", from: "retried@example.com" }),
      aMessage({ id: "held", from: "held@example.com", account_id: "held" }),
    );
    await eventually(() => beganMs.has("retried@example.com") && beganMs.has("login"), PATIENCE_MS, "both faults");
    await eventually(async () => (await service.api.get("/messages/retried")).body.status === "deferred");
    await eventually(async () => (await service.api.get("/account/held")).body.state === "held");
    clock.jump(hours * HOUR_MS);

    // A queue that stalls would do so for hours.
    await service.smtp.received(2, PATIENCE_MS);
    await strict.received(1, PATIENCE_MS);
    const began = (name: string, time: number) => beganMs.get(name)?.[time] ?? Number.NaN;
    assert.ok(began("scheduled@example.com", 0) >= acceptedMs + 29_900, "scheduled in 30 s");
    const retried = began("retried@example.com", 1) - began("retried@example.com", 0);
    assert.ok(retried >= 30_000, `retried after ${retried} ms, wanted: 30 s`);
    const probed = began("login", 1) - began("login", 0);
    assert.ok(probed >= 5000, `the held account was tried again after ${probed} ms, wanted: 5 s`);
    const ends = await finalReports(service, 3);
    assert.deepEqual(ends.map((one) => [one.id, one.error]).toSorted(), [
      ["held", null],
      ["retried", null],
      ["scheduled", null],
    ]);
    await service.stop();
    await strict.close();
  });

test("limits hold while the wall clock is set back and forth", async (t) => {
  const LIMIT = 10;
  const clock = machineClock({ speed: SPEED });
  const seen = seeSends(clock.monotonicMs);
  const service = await startService({ dispatchers: 2, env: clock.env, smtp: seen.smtp });
  t.after(() => service.stop());
  const { host, port } = service.smtp;
  await service.api.post("/account", { id: "limited", host, port, security: "none", limit_per_minute: LIMIT });
  await service.api.addMessages(...Array.from({ length: 35 }, () => aMessage({ account_id: "limited" })));
  for (const [count, jumpMs] of [
    [5, 5 * HOUR_MS],
    [10, -10 * HOUR_MS],
    [15, 5 * HOUR_MS],
    [20, 26 * HOUR_MS],
  ] as const) {
    await service.smtp.received(count, PATIENCE_MS);
    clock.jump(jumpMs);
  }
  await service.smtp.received(35, PATIENCE_MS);
  assert.deepEqual(mostInWindow(seen.all, 60_000), { begun: LIMIT, ended: LIMIT, touching: LIMIT });
  assert.equal(seen.all.length, 35);
  await service.stop();
});

async function finalReports(service: Service, count: number) {
  const ended = () =>
    service.client.calls.flatMap((call) => call.body.delivery_report).filter((one) => !one.deferred_ts);
  return await eventually(() => ended().length >= count && ended(), PATIENCE_MS, `${count} ends reported`);
}

function lostProcesses({ processes: { api, reporter, dispatchers } }: Service) {
  const events = [api, reporter, ...dispatchers].flatMap((proc) => proc.log.map((line) => line.event));
  return events.filter((event) => event === "struck_off" || event === "was_struck_off" || event === "lease_lost");
}
