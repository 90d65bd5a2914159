import type { TenantClient } from "@async-mail/db/store";
import { pollIntervalMs } from "@async-mail/domain/schedule";
import { sameEndpoint } from "./endpoint.ts";
import { leads } from "./lead.ts";
import { resting } from "./pace.ts";
import { type Reporter, reportPending } from "./report.ts";
import { type Look, nextCallMs, openSession, type Session } from "./session.ts";

/** Where the conversations with all tenants' clients go on side by side. */
export type Desk = {
  /** By tenant; only those that have a client. */
  sessions: Map<string, Session>;
  /** Aborted when the lead is lost: it cuts the calls under way. */
  lost: AbortController;
  /** Called when a tenant's pass has ended: there may be more to do. */
  onEnd(): void;
  /** Hears of a tenant's pass that threw; answers how long that tenant rests, in ms. */
  onError(error: unknown): number;
};

/** The longest wait without looking: by the hour another rule may hold. */
const LOOK_MS = 1000;
const SHORTEST_WAIT_MS = 10;
/** So many full batches are in memory at once; with more calls under way, each posts less. */
const FULL_BATCHES = 10;

export function newDesk(options: Pick<Desk, "onEnd" | "onError">): Desk {
  return { sessions: new Map(), lost: new AbortController(), ...options };
}

/**
 * One pass over all tenants: begins those calls that are due and awaits none, so that nobody's client delays another's.
 * Answers when to look again.
 */
export async function reportAll(reporter: Reporter, desk: Desk): Promise<{ waitMs: number }> {
  // Of now: should the lead be lost before the calls begin, they are cut.
  const lost = desk.lost.signal;
  const leading = await leads(reporter);
  reporter.metrics.leading.set(leading ? 1 : 0);
  const clients = leading ? await reporter.store.tenants.clients() : [];
  await closeSessions(desk, endedSessions(desk, clients));
  if (!leading) return { waitMs: LOOK_MS };

  const polling = await pollingNow(reporter);
  const { steadyMs } = reporter.clock.now();
  let underWay = underWayAt(desk).length;
  let nextMs = steadyMs + LOOK_MS;
  for (const client of clients) {
    const session = sessionFor(reporter, desk, client, lost);
    if (session === null || isUnderWay(desk, session)) continue;
    const look = lookAt(client, polling, mostReports(reporter.batchSize, underWay + 1));
    const callMs = nextCallMs(session, look);
    if (callMs > steadyMs) nextMs = Math.min(nextMs, callMs);
    else {
      begin(reporter, desk, session, look);
      underWay += 1;
    }
  }
  return { waitMs: Math.max(nextMs - steadyMs, SHORTEST_WAIT_MS) };
}

/** The lead is lost: what is under way is cut, and whatever was known is to be read anew. */
export function loseLead(desk: Desk): void {
  desk.lost.abort();
  desk.lost = new AbortController();
}

/** Resolves when nothing is under way any more. */
export async function finished(desk: Desk): Promise<void> {
  await Promise.all(underWayAt(desk).map((session) => session.underWay));
}

/** Waits for what is under way. */
export async function closeDesk(desk: Desk): Promise<void> {
  await finished(desk);
  await closeSessions(desk, [...desk.sessions.values()]);
}

type Polling = Pick<Look, "active" | "intervalMs">;

async function pollingNow({ store, clock, timezone, intervalMs }: Reporter): Promise<Polling> {
  const [{ active }, rules] = await Promise.all([store.service.status(), store.rules.list()]);
  return { active, intervalMs: pollIntervalMs(rules, clock.now().wallMs, timezone, intervalMs) };
}

/** Deleted tenants are only reported to, as those that are suspended. */
function lookAt(client: TenantClient, { active, intervalMs }: Polling, most: number): Look {
  const { runNowCount, nextReportMs } = client;
  return { active: active && client.active && !client.deleted, intervalMs, runNowCount, nextReportMs, most };
}

function mostReports(batchSize: number, underWay: number): number {
  return Math.min(batchSize, Math.ceil((FULL_BATCHES * batchSize) / underWay));
}

function underWayAt(desk: Desk): Session[] {
  return [...desk.sessions.values()].filter((session) => session.underWay !== null);
}

function isUnderWay(desk: Desk, { application }: Session): boolean {
  return underWayAt(desk).some((one) => one.application === application);
}

function sessionFor(reporter: Reporter, desk: Desk, client: TenantClient, lost: AbortSignal): Session | null {
  const known = desk.sessions.get(client.tenant);
  if (known !== undefined) return known;
  const opened = openSession(reporter, client, lost);
  if (opened !== null) desk.sessions.set(client.tenant, opened);
  return opened;
}

/** One that is under way ends later: its client may still be at work on the call, and another would be a second at once. */
function endedSessions(desk: Desk, clients: TenantClient[]): Session[] {
  const current = new Map(clients.map((client) => [client.tenant, client]));
  return [...desk.sessions.values()].filter((session) => {
    const client = current.get(session.tenant);
    const stays = client !== undefined && sameEndpoint(client, session.begunWith) && !session.lost.aborted;
    return !stays && session.underWay === null;
  });
}

async function closeSessions(desk: Desk, sessions: Session[]): Promise<void> {
  for (const { tenant } of sessions) desk.sessions.delete(tenant);
  await Promise.all(sessions.map(({ client }) => client.close()));
}

function begin(reporter: Reporter, desk: Desk, session: Session, look: Look): void {
  session.underWay = reportPending(reporter, session, look)
    .catch((error) => {
      const restMs = desk.onError(error);
      session.pace = resting(session.pace, reporter.clock.now().steadyMs + restMs);
    })
    .finally(() => {
      session.underWay = null;
      desk.onEnd();
    });
}
