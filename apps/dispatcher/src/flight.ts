import type { Claim } from "@async-mail/db/store";
import { createPaces } from "./paces.ts";

/** What is counted of a claim. */
type Flying = Pick<Claim, "accountKey" | "bytes" | "solo">;

/** The messages that this dispatcher has claimed and not settled yet. */
export type Flight = {
  size(): number;
  bytes(): number;
  /** Messages by account key; no entry: none. */
  held(): ReadonlyMap<number, number>;
  /** Those of them that wait for their attachments, by account key. */
  fetching(): ReadonlyMap<number, number>;
  /** What may be held beyond the slots, by account key: as many as leave before the next claims are there, at the pace of just now. */
  ahead(): ReadonlyMap<number, number>;
  /** For how long no message of the account has left. */
  quietMs(accountKey: number): number;
  /** How often a place has become free: a message is no more in flight, or waits for its attachments. */
  landings(): number;
  /** How many of these have no outcome in the file: whether they were sent is not for us to say any more. */
  unsettled(): number;
  /** One that is sent alone is under way. */
  solo(): boolean;
  /** The message waits for its attachments from now on. Answers what is to be called when they are there. */
  fetches(claim: Pick<Flying, "accountKey">): () => void;
  /** The server was spoken to about the message: that, and not what is given back, is its account's pace. */
  left(claim: Pick<Flying, "accountKey">): void;
  /** Keeps the claim in flight until `delivery` is done, which answers whether the claim was settled. */
  add(claim: Flying, delivery: Promise<boolean>): void;
  /** Resolves when nothing is in flight, or when aborted. */
  landed(signal?: AbortSignal): Promise<void>;
};

/** Twice what passes, on a busy machine, from the end of a message to the beginning of the one that is claimed for its place. */
const AHEAD_MS = 120;

/**
 * Free slots are claimed a few at a time, since each claim is a commit; the messages composed ahead keep the connections
 * busy meanwhile.
 */
const LANDINGS_MS = 0;

/** `onLanding` hears, soon after, that places have become free. */
export function createFlight(onLanding: () => void, monotonicMs: () => number): Flight {
  const paces = createPaces(monotonicMs);
  const held = new Map<number, number>();
  const fetching = new Map<number, number>();
  const deliveries = new Set<Promise<void>>();
  let landing = false;
  let bytes = 0;
  let solos = 0;
  let landings = 0;
  let unsettled = 0;

  function count(claim: Flying, change: 1 | -1): void {
    bytes += change * claim.bytes;
    if (claim.solo) solos += change;
    add(held, claim.accountKey, change);
  }

  function tell(): void {
    landings += 1;
    if (landing) return;
    landing = true;
    setTimeout(() => {
      landing = false;
      onLanding();
    }, LANDINGS_MS);
  }

  return {
    size: () => deliveries.size,
    bytes: () => bytes,
    held: () => held,
    fetching: () => fetching,
    ahead: () => paces.leaveWithin(AHEAD_MS),
    quietMs: paces.quietMs,
    left: ({ accountKey }) => paces.left(accountKey),
    landings: () => landings,
    unsettled: () => unsettled,
    solo: () => solos > 0,
    add(claim, delivery) {
      count(claim, 1);
      const flying = delivery.then((settled) => {
        count(claim, -1);
        if (!settled) unsettled += 1;
        deliveries.delete(flying);
        tell();
      });
      deliveries.add(flying);
    },
    fetches({ accountKey }) {
      add(fetching, accountKey, 1);
      tell();
      return () => add(fetching, accountKey, -1);
    },
    async landed(signal) {
      const aborted = new Promise<void>((resolve) =>
        signal?.addEventListener("abort", () => resolve(), { once: true }),
      );
      while (deliveries.size > 0 && !signal?.aborted) await Promise.race([aborted, Promise.all(deliveries)]);
    },
  };
}

function add(counts: Map<number, number>, key: number, change: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
