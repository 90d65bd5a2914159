/**
 * Limits over four dispatchers, as the mail server's own timestamps tell: the largest number in any rolling window, of
 * messages begun in it (MAIL FROM), ended in it (the reply after the final dot), and touching it at all. With and
 * without dispatchers killed by SIGKILL at random in the middle of dialogues. A quarter of an hour on two cores:
 *
 *     npm run bench:limits
 *     npm run bench:limits -- --speed 30 --hours 3.2 --seconds 200
 *
 * "Used" is what was sent by what could be: the number of messages that a sender without any delay could have begun in
 * the same time under the same limits.
 */
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { machineClock } from "../test/support/machine-clock.ts";
import { mostInWindow, type SeenSend } from "../test/support/seen-sends.ts";
import { type LimitedRunOptions, startLimitedRun } from "../test/time/limited-run.ts";

const { values: options } = parseArgs({
  options: {
    speed: { type: "string", default: "30" },
    /** Of the sped-up clock. */
    hours: { type: "string", default: "3.2" },
    /** Of the real one. */
    seconds: { type: "string", default: "200" },
    "kill-share": { type: "string", default: "0.02" },
  },
});
const SPEED = Number(options.speed);
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

type Limit = { limit: number; windowMs: number; name: string };

const perMinute = (limit: number): Limit => ({ limit, windowMs: MINUTE_MS, name: "minute" });
const perHour = (limit: number): Limit => ({ limit, windowMs: HOUR_MS, name: "hour" });
const realClock = { monotonicMs: () => Number(process.hrtime.bigint()) / 1e6 };

for (const share of [0, Number(options["kill-share"])]) {
  await windows(`60/min and 200/h, clock ×${SPEED}`, [perMinute(60), perHour(200)], Number(options.hours) * HOUR_MS, {
    account: { limit_per_minute: 60, limit_per_hour: 200 },
    clock: machineClock({ speed: SPEED }),
    // Two seconds of this machine.
    leaseSeconds: SPEED * 2,
    ...killing(share),
  });
}
for (const share of [0, Number(options["kill-share"])]) {
  await windows("30 per 60 s, real clock", [perMinute(30)], Number(options.seconds) * 1000, {
    account: { limit_per_minute: 30 },
    clock: realClock,
    leaseSeconds: 5,
    // Fewer messages in all: as many kills.
    ...killing(share * 5),
  });
}
for (const max_connections of [5, 3, 1])
  for (const share of [0, Number(options["kill-share"])]) await connections(max_connections, share);

async function windows(
  name: string,
  limits: Limit[],
  forMs: number,
  run: Omit<LimitedRunOptions, "messages">,
): Promise<void> {
  const { clock } = run;
  const running = await startLimitedRun({ ...run, messages: mostAllowed(limits, forMs) + 100 });
  await running.seen(1, 60_000);
  const fromMs = running.sends[0]?.beganMs ?? 0;
  while (clock.monotonicMs() < fromMs + forMs) await pause(100);
  const sends = running.sends.filter((send) => send.beganMs < fromMs + forMs);
  await running.stop();
  console.log(`${name}, ${running.killed} dispatchers killed, ${running.lapses()} slow ones taken for dead:`);
  for (const { limit, windowMs, name: window } of limits) tellMost(sends, limit, windowMs, window);
  const allowed = mostAllowed(limits, forMs);
  console.log(`  used ${percent(sends.length / allowed)}: ${sends.length} begun of ${allowed} in ${forMs / 1000} s`);
}

function tellMost(sends: SeenSend[], limit: number, windowMs: number, name: string): void {
  const { begun, ended, touching } = mostInWindow(sends, windowMs);
  const verdict = Math.max(begun, ended, touching) > limit ? "EXCEEDED" : "held";
  console.log(
    `  ${limit} a ${name}: at most ${begun} begun, ${ended} ended, ${touching} touching any window: ${verdict}`,
  );
}

async function connections(max_connections: number, share: number): Promise<void> {
  const running = await startLimitedRun({
    account: { max_connections },
    messages: 400,
    clock: realClock,
    leaseSeconds: 5,
    takesMs: 20,
    ...killing(share),
  });
  await running.seen(400, 300_000);
  const { max } = running.service.smtp.connections;
  await running.stop();
  const verdict = max > max_connections ? "EXCEEDED" : "held";
  console.log(
    `max_connections ${max_connections}, ${running.killed} dispatchers killed, ${running.lapses()} slow ones taken for dead: at most ${max} open: ${verdict}`,
  );
}

/** How many a sender that needs no time could begin before `forMs` have passed. */
function mostAllowed(limits: Limit[], forMs: number): number {
  const begun: number[] = [];
  for (;;) {
    const next = Math.max(
      0,
      ...limits.map(({ limit, windowMs }) => (begun[begun.length - limit] ?? -windowMs) + windowMs),
    );
    if (next >= forMs) return begun.length;
    begun.push(next);
  }
}

function killing(share: number): Pick<LimitedRunOptions, "kills"> {
  return share > 0 ? { kills: { share, random: Math.random } } : {};
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
