import { CLAIMS_PER_CONNECTION, type Claim, type ClaimAnswer, type ClaimRef, type Store } from "@async-mail/db/store";
import type { Outcome } from "@async-mail/domain/outcome";
import type { Clock } from "@async-mail/runtime/clock";
import type { Log } from "@async-mail/runtime/log";
import type { Presence } from "@async-mail/runtime/presence";
import type { Composer } from "./composer.ts";
import { type Delivery, deliver } from "./deliver.ts";
import type { Flight } from "./flight.ts";
import type { DispatcherMetrics } from "./metrics.ts";
import type { Relay } from "./relay.ts";
import type { Reservations } from "./reservations.ts";
import type { Settler } from "./settler.ts";
import type { Verifications } from "./verify.ts";
import { LOOK_MS, type Withholding } from "./withholding.ts";

export type Dispatcher = {
  store: Pick<Store, "queue">;
  presence: Pick<Presence, "process" | "stands">;
  clock: Pick<Clock, "now">;
  log: Pick<Log, "claimed" | "damaged">;
  metrics: Pick<DispatcherMetrics, "look">;
  flight: Flight;
  relay: Pick<Relay, "needed" | "shorten">;
  reservations: Reservations;
  withholding: Withholding;
  verifications: Pick<Verifications, "look">;
  composer: Pick<Composer, "queued">;
  settler: Pick<Settler, "stuck" | "settle">;
  delivery: Delivery;
  /** Messages in flight: one on each connection, and one composed ahead for it; more where they leave fast. */
  capacity: number;
  maxBytesInFlight: number;
  maxConnectionsPerAccount: number;
  /** The longest an idle dispatcher goes without looking. */
  intervalMs: number;
  /** The last claim that found nothing it might take; null: the last one found something. */
  empty: { untilMs: number; landings: number } | null;
  /** A message to be sent alone waits until nothing is in flight. */
  soloWaiting: boolean;
};

/** Until a process that missed its beats, or a database that refuses, is looked at again. */
const TROUBLE_MS = 250;

/**
 * What is due and was not given to us waits for what others hold: their every commit would wake us for another claim
 * in vain, at the price of the lock that they need. Something of our own that ends is a better reason.
 */
const EMPTY_MS = 50;

/** An account of which nothing leaves for so long has no pace any more. */
const STUCK_MS = 1000;

/** Of one claim: others wait for the lock meanwhile. */
const MOST_AT_ONCE = 250;

/** One pass: as many due messages as there are free slots are claimed, and on their way. Answers when to look again. */
export async function dispatchDue(dispatcher: Dispatcher): Promise<{ waitMs: number }> {
  const { waitMs } = await claimMore(dispatcher);
  return { waitMs: dispatcher.flight.size() > 0 ? Math.min(waitMs, LOOK_MS) : waitMs };
}

async function claimMore(dispatcher: Dispatcher): Promise<{ waitMs: number }> {
  const { store, presence, clock, metrics, composer, flight, settler, withholding, verifications, intervalMs } =
    dispatcher;
  metrics.look(composer.queued());
  if (!presence.stands() || settler.stuck()) return { waitMs: Math.min(TROUBLE_MS, intervalMs) };
  if (flight.size() > 0) await withholding.look();
  // One after another: each may hand out connections that another is giving back.
  await verifications.look();
  await giveBackConnections(dispatcher);
  giveBackStuck(dispatcher);

  const full = isFull(dispatcher);
  // A look first: claiming is a transaction, even when it finds nothing.
  if (full || !(await store.queue.ready(clock.now())))
    return { waitMs: full ? intervalMs : await untilNext(dispatcher) };
  if (stillEmpty(dispatcher)) return { waitMs: EMPTY_MS };
  const number = presence.process();
  const answer = await claim(dispatcher, number);
  if (answer.kind === "suspended") withholding.suspended();
  if (answer.kind !== "claimed") return { waitMs: Math.min(TROUBLE_MS, intervalMs) };
  dispatcher.soloWaiting = answer.soloWaiting;
  for (const damaged of answer.damaged) dispatcher.log.damaged(damaged);
  for (const one of answer.unread) giveBack(dispatcher, one);
  begin(dispatcher, number, answer.claims);
  const found = answer.claims.length > 0;
  dispatcher.empty = found ? null : { untilMs: clock.now().steadyMs + EMPTY_MS, landings: flight.landings() };
  return { waitMs: found ? await untilNext(dispatcher) : EMPTY_MS };
}

function isFull(dispatcher: Dispatcher): boolean {
  const { flight, soloWaiting } = dispatcher;
  return slotsOf(dispatcher) <= 0 || flight.solo() || (soloWaiting && flight.size() > 0);
}

function slotsOf(dispatcher: Dispatcher): number {
  let ahead = 0;
  for (const count of aheadOf(dispatcher).values()) ahead += count;
  return Math.min(MOST_AT_ONCE, dispatcher.capacity + ahead - dispatcher.flight.size());
}

/**
 * Beyond the slots, by account: what leaves soon at its pace, or what was claimed at a faster one. An account whose server
 * has begun to hang must not fill the slots of the others with that.
 */
function aheadOf(dispatcher: Dispatcher): Map<number, number> {
  const ahead = new Map(dispatcher.flight.ahead());
  for (const [key, count] of beyondSlots(dispatcher)) ahead.set(key, Math.max(count, ahead.get(key) ?? 0));
  return ahead;
}

/** Accounts that hold more than two messages for each connection, and those that wait for their files; how many more. */
function* beyondSlots({ flight, reservations }: Dispatcher): Generator<[key: number, count: number]> {
  for (const [key, held] of flight.held()) {
    const slots = CLAIMS_PER_CONNECTION * reservations.share(key) + (flight.fetching().get(key) ?? 0);
    if (held > slots) yield [key, held - slots];
  }
}

/** What was claimed ahead of a server that then began to hang may go another way, be deleted, or wait for its turn. */
function giveBackStuck(dispatcher: Dispatcher): void {
  const { flight, relay, reservations } = dispatcher;
  for (const [key] of beyondSlots(dispatcher))
    if (flight.quietMs(key) >= STUCK_MS) relay.shorten(key, reservations.share(key));
}

function stillEmpty({ empty, clock, flight }: Dispatcher): boolean {
  return empty !== null && empty.landings === flight.landings() && clock.now().steadyMs < empty.untilMs;
}

function claim(dispatcher: Dispatcher, process: number): Promise<ClaimAnswer> {
  const { store, clock, flight, ...limits } = dispatcher;
  const request = {
    process,
    slots: slotsOf(dispatcher),
    capacity: limits.capacity,
    bytes: Math.max(0, limits.maxBytesInFlight - flight.bytes()),
    held: flight.held(),
    fetching: flight.fetching(),
    ahead: aheadOf(dispatcher),
    maxConnectionsPerAccount: limits.maxConnectionsPerAccount,
  };
  return store.queue.claimDue(request, clock.now());
}

function begin(dispatcher: Dispatcher, number: number, claims: Claim[]): void {
  const { flight, log, delivery, presence, reservations, withholding } = dispatcher;
  // A process that was struck off stands again at once, under another number: what it had claimed is not its own then.
  const stands = () => presence.stands() && presence.process() === number;
  withholding.claimed(claims);
  for (const one of claims) {
    reservations.taken(one);
    flight.add(
      one,
      deliver(delivery, { ...one, stands, fetches: () => flight.fetches(one), left: () => flight.left(one) }),
    );
  }
  if (claims.length > 0) log.claimed({ count: claims.length });
}

function giveBack({ flight, settler, clock }: Dispatcher, one: Parameters<Flight["add"]>[0] & ClaimRef): void {
  const outcome: Outcome = { kind: "given_back", reason: "its payload could not be read", mailFromSent: false };
  flight.add(
    one,
    settler.settle(one, outcome, clock.now()).then((settled) => settled !== null),
  );
}

/** Before claiming and never beside it: a claim may hand out what is being given back. */
async function giveBackConnections(dispatcher: Dispatcher): Promise<void> {
  const { relay, reservations, flight, store, presence, clock } = dispatcher;
  const needed = (accountKey: number, share: number) => relay.needed(accountKey, share, flight.held().has(accountKey));
  const giveBack = async ({ accountKey, keep }: { accountKey: number; keep: number }) => {
    await store.queue.giveBackConnections(presence.process(), accountKey, keep, clock.now());
    reservations.lowered(accountKey, keep);
  };
  await Promise.all(reservations.surplus(needed).map(giveBack)); // in one commit
}

async function untilNext({ store, clock, intervalMs }: Dispatcher): Promise<number> {
  const nextMs = await store.queue.nextReadyMs();
  if (nextMs === null) return intervalMs;
  const waitMs = nextMs - clock.now().steadyMs;
  // What is due already, and was not given, waits for a slot or for another process: both wake us.
  return waitMs <= 0 ? intervalMs : Math.min(Math.ceil(waitMs), intervalMs);
}
