import type { Claim, Store } from "@async-mail/db/store";
import type { Clock } from "@async-mail/runtime/clock";
import type { Presence } from "@async-mail/runtime/presence";
import type { Flight } from "./flight.ts";
import type { Relay } from "./relay.ts";

/** Sees to it that nothing leaves of what was claimed ahead, once the service, its tenant or its batch is suspended, or its account held. */
export type Withholding = {
  /** Looks what is to be withheld, though not at every call. */
  look(): Promise<void>;
  /** A claim was told that the service is suspended. */
  suspended(): void;
  /** The store has just given these: they may go. */
  claimed(claims: Claim[]): void;
};

type Options = {
  store: { queue: Pick<Store["queue"], "withheld"> };
  relay: Pick<Relay, "withhold">;
  flight: Pick<Flight, "held">;
  presence: Pick<Presence, "process">;
  clock: Pick<Clock, "now">;
};

/** Between two looks, each of which reads the state of all accounts that have messages waiting for a connection. */
export const LOOK_MS = 100;

export function createWithholding({ store, relay, flight, presence, clock }: Options): Withholding {
  let accounts = new Set<number>();
  let messages = new Set<number>();
  let lookMs = Number.NEGATIVE_INFINITY;

  function withholdAll(): void {
    accounts = new Set();
    messages = new Set();
    relay.withhold("all");
  }

  return {
    async look() {
      const now = clock.now();
      if (now.steadyMs < lookMs) return;
      lookMs = now.steadyMs + LOOK_MS;
      // Also those whose files are on their way: they come to a connection later.
      const found = await store.queue.withheld(presence.process(), [...flight.held().keys()], now);
      if (found === "all") return withholdAll();
      accounts = new Set(found.accounts);
      messages = new Set(found.messages);
      relay.withhold({ accounts, messages });
    },
    suspended: withholdAll,
    claimed(claims) {
      for (const { accountKey, messageKey } of claims) {
        accounts.delete(accountKey);
        messages.delete(messageKey);
      }
      relay.withhold({ accounts, messages });
    },
  };
}
