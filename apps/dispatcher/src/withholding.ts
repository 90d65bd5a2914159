import type { Claim, Store } from "@async-mail/db/store";
import type { Clock } from "@async-mail/runtime/clock";
import type { Relay } from "./relay.ts";

/** Sees to it that nothing leaves of what was claimed ahead, once the service is suspended or its account held. */
export type Withholding = {
  /** Looks what is to be withheld, though not at every call. */
  look(): Promise<void>;
  /** A claim was told that the service is suspended. */
  suspended(): void;
  /** The store has just given these: they may go. */
  claimed(claims: Claim[]): void;
};

type Options = {
  store: { service: Pick<Store["service"], "status">; accounts: Pick<Store["accounts"], "get"> };
  relay: Pick<Relay, "waiting" | "withhold">;
  clock: Pick<Clock, "now">;
};

/** Between two looks, each of which reads the state of all accounts that have messages waiting for a connection. */
export const LOOK_MS = 100;

export function createWithholding({ store, relay, clock }: Options): Withholding {
  let withheld: "all" | Set<number> = new Set();
  let lookMs = Number.NEGATIVE_INFINITY;

  function withhold(which: "all" | Set<number>): void {
    withheld = which;
    relay.withhold(which);
  }

  async function heldAccounts(): Promise<Set<number>> {
    // What is withheld already has nothing waiting any more; a claim will tell when that is over.
    const held = withheld === "all" ? new Set<number>() : withheld;
    for (const { accountKey, account } of relay.waiting()) if (await isHeld(account.id)) held.add(accountKey);
    return held;
  }

  /** Of a fault's hold that has run out, one message is out to try. */
  async function isHeld(id: string): Promise<boolean> {
    const now = clock.now();
    const record = await store.accounts.get(id, now);
    if (record === null) return true; // deleted: what was not begun ends with it
    return record.state === "held" && (record.untilMs === null || record.untilMs > now.wallMs);
  }

  return {
    async look() {
      const { steadyMs } = clock.now();
      if (steadyMs < lookMs) return;
      lookMs = steadyMs + LOOK_MS;
      const { active } = await store.service.status();
      withhold(active ? await heldAccounts() : "all");
    },
    suspended: () => withhold("all"),
    claimed(claims) {
      const held = withheld === "all" ? new Set<number>() : withheld;
      for (const { accountKey } of claims) held.delete(accountKey);
      withhold(held);
    },
  };
}
