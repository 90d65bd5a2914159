import type { ClaimAnswer, Store } from "@async-mail/db/store";
import type { Clock } from "@async-mail/runtime/clock";
import type { Log } from "@async-mail/runtime/log";
import type { Presence } from "@async-mail/runtime/presence";
import type { Composer } from "./composer.ts";
import { type Delivery, deliver } from "./deliver.ts";
import type { Flight } from "./flight.ts";
import type { DispatcherMetrics } from "./metrics.ts";
import type { Relay } from "./relay.ts";
import type { Settler } from "./settler.ts";

export type Dispatcher = {
  store: Pick<Store, "queue" | "busyRetries">;
  presence: Pick<Presence, "process" | "stands">;
  clock: Pick<Clock, "now">;
  log: Pick<Log, "claimed">;
  metrics: Pick<DispatcherMetrics, "look">;
  flight: Flight;
  relay: Pick<Relay, "surplus">;
  composer: Pick<Composer, "queued">;
  settler: Pick<Settler, "stuck">;
  delivery: Delivery;
  /** Messages in flight: one on each connection, and one composed ahead for it. */
  capacity: number;
  maxBytesInFlight: number;
  maxConnectionsPerAccount: number;
  /** The longest an idle dispatcher goes without looking. */
  intervalMs: number;
  /** The last claim that found nothing it might take; null: the last one found something. */
  empty: { untilMs: number; landings: number } | null;
};

/** Until a process that missed its beats, or a database that refuses, is looked at again. */
const TROUBLE_MS = 250;

/**
 * What is due and was not given to us waits for what others hold: their every commit would wake us for another claim
 * in vain, at the price of the lock that they need. Something of our own that ends is a better reason.
 */
const EMPTY_MS = 50;

/** One pass: as many due messages as there are free slots are claimed, and on their way. Answers when to look again. */
export async function dispatchDue(dispatcher: Dispatcher): Promise<{ waitMs: number }> {
  const { store, presence, clock, metrics, composer, flight, settler, intervalMs } = dispatcher;
  metrics.look(composer.queued(), store.busyRetries());
  if (!presence.stands() || settler.stuck()) return { waitMs: Math.min(TROUBLE_MS, intervalMs) };
  await giveBackConnections(dispatcher);

  const full = flight.size() >= dispatcher.capacity || flight.solo();
  // A look first: claiming is a transaction, even when it finds nothing.
  if (full || !(await store.queue.ready(clock.now())))
    return { waitMs: full ? intervalMs : await untilNext(dispatcher) };
  if (stillEmpty(dispatcher)) return { waitMs: EMPTY_MS };
  const answer = await claim(dispatcher);
  if (answer.kind !== "claimed") return { waitMs: Math.min(TROUBLE_MS, intervalMs) };
  begin(dispatcher, answer);
  const found = answer.claims.length > 0;
  dispatcher.empty = found ? null : { untilMs: clock.now().steadyMs + EMPTY_MS, landings: flight.landings() };
  return { waitMs: found ? await untilNext(dispatcher) : EMPTY_MS };
}

function stillEmpty({ empty, clock, flight }: Dispatcher): boolean {
  return empty !== null && empty.landings === flight.landings() && clock.now().steadyMs < empty.untilMs;
}

function claim({ store, presence, clock, flight, ...limits }: Dispatcher): Promise<ClaimAnswer> {
  const request = {
    process: presence.process(),
    slots: limits.capacity - flight.size(),
    capacity: limits.capacity,
    bytes: Math.max(0, limits.maxBytesInFlight - flight.bytes()),
    held: flight.held(),
    maxConnectionsPerAccount: limits.maxConnectionsPerAccount,
  };
  return store.queue.claimDue(request, clock.now());
}

function begin({ flight, log, delivery }: Dispatcher, { claims }: Extract<ClaimAnswer, { kind: "claimed" }>): void {
  for (const one of claims) flight.add(one, deliver(delivery, one));
  if (claims.length > 0) log.claimed({ count: claims.length });
}

/** Before claiming and never beside it: a claim may hand out what is being given back. */
async function giveBackConnections({ relay, flight, store, presence, clock }: Dispatcher): Promise<void> {
  const held = flight.held();
  for (const { accountKey, keep } of relay.surplus((key) => held.has(key)))
    await store.queue.giveBackConnections(presence.process(), accountKey, keep, clock.now());
}

async function untilNext({ store, clock, intervalMs }: Dispatcher): Promise<number> {
  const nextMs = await store.queue.nextReadyMs();
  if (nextMs === null) return intervalMs;
  const waitMs = nextMs - clock.now().steadyMs;
  // What is due already, and was not given, waits for a slot or for another process: both wake us.
  return waitMs <= 0 ? intervalMs : Math.min(Math.ceil(waitMs), intervalMs);
}
