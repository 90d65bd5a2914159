import type { Claim } from "@async-mail/db/store";

/** What is counted of a claim. */
type Flying = Pick<Claim, "accountKey" | "bytes" | "solo">;

/** The messages that this dispatcher has claimed and not settled yet. */
export type Flight = {
  size(): number;
  bytes(): number;
  /** Messages by account key; no entry: none. */
  held(): ReadonlyMap<number, number>;
  /** How many have been, and are no more. */
  landings(): number;
  /** How many of these have no outcome in the file: whether they were sent is not for us to say any more. */
  unsettled(): number;
  /** One that is sent alone is under way. */
  solo(): boolean;
  /** Keeps the claim in flight until `delivery` is done, which answers whether the claim was settled. */
  add(claim: Flying, delivery: Promise<boolean>): void;
  /** Resolves when nothing is in flight, or when aborted. */
  landed(signal?: AbortSignal): Promise<void>;
};

/**
 * Free slots are claimed a few at a time, since each claim is a commit; the messages composed ahead keep the connections
 * busy meanwhile.
 */
const LANDINGS_MS = 0;

/** `onLanding` hears, soon after, that messages no longer are. */
export function createFlight(onLanding: () => void): Flight {
  const held = new Map<number, number>();
  const deliveries = new Set<Promise<void>>();
  let landing = false;
  let bytes = 0;
  let solos = 0;
  let landings = 0;
  let unsettled = 0;

  function count(claim: Flying, change: 1 | -1): void {
    bytes += change * claim.bytes;
    if (claim.solo) solos += change;
    const messages = (held.get(claim.accountKey) ?? 0) + change;
    if (messages === 0) held.delete(claim.accountKey);
    else held.set(claim.accountKey, messages);
  }

  function tell(): void {
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
    landings: () => landings,
    unsettled: () => unsettled,
    solo: () => solos > 0,
    add(claim, delivery) {
      count(claim, 1);
      const flying = delivery.then((settled) => {
        count(claim, -1);
        if (!settled) unsettled += 1;
        deliveries.delete(flying);
        landings += 1;
        tell();
      });
      deliveries.add(flying);
    },
    async landed(signal) {
      const aborted = new Promise<void>((resolve) =>
        signal?.addEventListener("abort", () => resolve(), { once: true }),
      );
      while (deliveries.size > 0 && !signal?.aborted) await Promise.race([aborted, Promise.all(deliveries)]);
    },
  };
}
