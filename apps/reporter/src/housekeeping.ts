import type { Store, TenantClient } from "@async-mail/db/store";
import type { Clock } from "@async-mail/runtime/clock";
import type { Log } from "@async-mail/runtime/log";
import { hasClient } from "./endpoint.ts";
import { type Contender, leads } from "./lead.ts";
import type { ReporterMetrics } from "./metrics.ts";
import { named } from "./named.ts";
import { tenantRound } from "./tenant-round.ts";
import type { Watchdog } from "./watchdog.ts";

export type House = Pick<Contender, "presence"> & {
  store: Pick<Store, "of" | "tenants" | "housekeeping" | "processes">;
  clock: Pick<Clock, "now">;
  log: Pick<Log, "purged" | "expired" | "reportGivenUp">;
  metrics: ReporterMetrics;
  watchdog: Watchdog;
  /** The configuration names a client. The messages of tenants without one are purged by the age of their end. */
  configured: boolean;
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
    { everyMs: 2_000, dueMs: nowMs, step: tidyTenants },
    { everyMs: 5_000, dueMs: nowMs, step: tenantRound(STEP_ROWS, reportedTo, giveUp) },
    { everyMs: 5_000, dueMs: nowMs, step: tenantRound(STEP_ROWS, everyTenant, purge) },
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

async function tidyTenants({ store, clock, retentionMs }: House): Promise<boolean> {
  const now = clock.now();
  // Kept for ever, a deleted tenant goes only with its last report.
  const deletedBeforeMs = retentionMs <= 0 ? 0 : Math.floor(now.wallMs - retentionMs);
  return (await store.housekeeping.tidyTenants(deletedBeforeMs, STEP_ROWS, now)) >= STEP_ROWS;
}

function reportedTo({ store }: House): Promise<TenantClient[]> {
  return store.tenants.clients();
}

type Purged = Pick<TenantClient, "tenant" | "id" | "baseUrl">;

/** Deleted ones too, as long as they may have something to report. */
async function everyTenant({ store }: House): Promise<Purged[]> {
  const [tenants, clients] = await Promise.all([store.tenants.list(), store.tenants.clients()]);
  const known = tenants.map(({ tenant, id, clientBaseUrl }) => ({ tenant, id, baseUrl: clientBaseUrl }));
  return [...known, ...clients.filter(({ deleted }) => deleted)];
}

async function giveUp(house: House, client: TenantClient, rows: number): Promise<number> {
  const { store, clock, log, metrics, configured, reportMaxAgeMs } = house;
  if (!hasClient(client, configured) || reportMaxAgeMs <= 0 || client.nextReportMs === null) return 0;
  const now = clock.now();
  const count = await store.of(client.tenant).reports.giveUp(Math.floor(now.wallMs - reportMaxAgeMs), rows, now);
  if (count > 0) log.reportGivenUp({ count, ...named(client) });
  metrics.givenUp.inc(count);
  return count;
}

async function purge(house: House, client: Purged, rows: number): Promise<number> {
  const { store, clock, log, metrics, configured, retentionMs } = house;
  if (retentionMs <= 0) return 0;
  const beforeMs = Math.floor(clock.now().wallMs - retentionMs);
  const before = { reportedBeforeMs: beforeMs, endedBeforeMs: hasClient(client, configured) ? null : beforeMs };
  const count = await store.of(client.tenant).messages.purge(before, rows);
  if (count > 0) log.purged({ count, ...named(client) });
  metrics.purged.inc(count);
  return count;
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
