import type { Store } from "@async-mail/db/store";
import type { Clock } from "@async-mail/runtime/clock";
import type { Log } from "@async-mail/runtime/log";
import { type Contender, leads } from "./lead.ts";
import type { ReporterMetrics } from "./metrics.ts";
import type { Watchdog } from "./watchdog.ts";

export type House = Pick<Contender, "presence"> & {
  store: Pick<Store, "housekeeping" | "reports" | "processes">;
  clock: Pick<Clock, "now">;
  log: Pick<Log, "purged" | "expired" | "reportGivenUp">;
  metrics: ReporterMetrics;
  watchdog: Watchdog;
  /** There is a client to report to; without one, messages are purged by the age of their end. */
  reports: boolean;
  /** 0 or less: for ever. */
  retentionMs: number;
  /** 0: a report is never given up. */
  reportMaxAgeMs: number;
  messageMaxAgeMs: number;
};

export type Chore = {
  everyMs: number;
  /** Steady ms. */
  dueMs: number;
  /** One small step; answers whether there is more to do right away. */
  step(house: House): Promise<boolean>;
};

/** Rows of one step: some 10 ms of a transaction, so that no report, claim or settle waits for it noticeably. */
const STEP_ROWS = 200;
/** Between two steps when there is more to do: the file and this process are free for others meanwhile. */
const BETWEEN_STEPS_MS = 20;
const STANDBY_MS = 1000;

export function newChores(nowMs: number): Chore[] {
  return [
    { everyMs: 2_000, dueMs: nowMs, step: expire },
    { everyMs: 2_000, dueMs: nowMs, step: checkpoint },
    // Not at once: dispatchers that start together with this process have not claimed anything yet.
    { everyMs: 2_000, dueMs: nowMs + 10_000, step: watch },
    { everyMs: 5_000, dueMs: nowMs, step: giveUp },
    { everyMs: 5_000, dueMs: nowMs, step: purge },
    { everyMs: 60_000, dueMs: nowMs, step: trim },
  ];
}

/** One pass: one step of the chore that has been due longest, if any is. Answers when to come again. */
export async function keepHouse(house: House, chores: Chore[]): Promise<{ waitMs: number }> {
  if (!(await leads(house))) return { waitMs: STANDBY_MS };
  const chore = nextOf(chores);
  const waitMs = chore.dueMs - house.clock.now().steadyMs;
  if (waitMs > 0) return { waitMs };
  // Before the step: a chore that fails, again and again, must not keep the others from their turn.
  chore.dueMs = house.clock.now().steadyMs + chore.everyMs;
  const more = await chore.step(house);
  const { steadyMs } = house.clock.now();
  // Due again now, not where it was: a chore with much to do takes turns with the others.
  chore.dueMs = steadyMs + (more ? 0 : chore.everyMs);
  return { waitMs: Math.max(BETWEEN_STEPS_MS, nextOf(chores).dueMs - steadyMs) };
}

function nextOf(chores: Chore[]): Chore {
  return chores.reduce((first, other) => (other.dueMs < first.dueMs ? other : first));
}

async function expire({ store, clock, log, messageMaxAgeMs }: House): Promise<boolean> {
  const count = await store.housekeeping.expire(messageMaxAgeMs, STEP_ROWS, clock.now());
  if (count > 0) log.expired({ count });
  return count >= STEP_ROWS;
}

async function giveUp({ store, clock, log, metrics, reports, reportMaxAgeMs }: House): Promise<boolean> {
  if (!reports || reportMaxAgeMs <= 0) return false;
  const now = clock.now();
  const count = await store.reports.giveUp(Math.floor(now.wallMs - reportMaxAgeMs), STEP_ROWS, now);
  if (count > 0) log.reportGivenUp({ count });
  metrics.givenUp.inc(count);
  return count >= STEP_ROWS;
}

async function purge({ store, clock, log, metrics, reports, retentionMs }: House): Promise<boolean> {
  if (retentionMs <= 0) return false;
  const beforeMs = Math.floor(clock.now().wallMs - retentionMs);
  const before = { reportedBeforeMs: beforeMs, endedBeforeMs: reports ? null : beforeMs };
  const count = await store.housekeeping.purge(before, STEP_ROWS);
  if (count > 0) log.purged({ count });
  metrics.purged.inc(count);
  return count >= STEP_ROWS;
}

async function trim({ store, clock }: House): Promise<boolean> {
  return (await store.housekeeping.trim(STEP_ROWS, clock.now())) >= STEP_ROWS;
}

async function checkpoint({ store }: House): Promise<boolean> {
  await store.housekeeping.checkpoint();
  return false;
}

async function watch({ watchdog }: House): Promise<boolean> {
  await watchdog.look();
  return false;
}
