import { setTimeout as pause } from "node:timers/promises";
import type { ServiceClient } from "./service-client.ts";
import { ACCOUNT_NAMES, type AccountName, account, LIMIT_PER_MINUTE, NO_LIMIT_PER_MINUTE } from "./settings.ts";

export type Operator = {
  /** Makes the accounts. */
  begin(): Promise<void>;
  /** From now on the limit of `limited` does not bind; or does again. */
  limit(binds: boolean): Promise<void>;
  /** When the limit bound: from and to, wall ms. */
  bound: { from: number; to: number | null }[];
  /** Ends the holds of accounts: they double up to a quarter of an hour, and the mail server is well again. */
  release(): Promise<void>;
  /** The same now and then, until `over`. */
  releaseNowAndThen(over: AbortSignal): Promise<void>;
};

const NOW_AND_THEN_MS = 700;

export function createOperator(service: ServiceClient, ports: Map<string, number>): Operator {
  let changes = 0;
  let bound = true;

  function make(name: AccountName): Promise<void> {
    const limit = bound ? LIMIT_PER_MINUTE : NO_LIMIT_PER_MINUTE;
    const changed = { ttl: 300 + changes, ...(name === "limited" ? { limit_per_minute: limit } : {}) };
    return service.post("/account", account(name, ports.get(name) ?? 0, changed));
  }

  async function release(): Promise<void> {
    for (const { id, state, slowed } of await service.accounts()) {
      if (state === "held") await service.post(`/account/${id}/release`);
      if (slowed === undefined || id === "default") continue;
      // A slower pace lasts for minutes, and only a changed account forgets it.
      changes += 1;
      await make(id as AccountName);
    }
  }

  const operator: Operator = {
    bound: [],
    async begin() {
      for (const name of ACCOUNT_NAMES.filter((one) => one !== "default")) await make(name);
      operator.bound.push({ from: Date.now(), to: null });
    },
    async limit(binds) {
      const last = operator.bound.at(-1);
      if (!binds && last !== undefined) last.to = Date.now();
      bound = binds;
      await make("limited");
      if (binds) operator.bound.push({ from: Date.now(), to: null });
    },
    release,
    async releaseNowAndThen(over) {
      while (!over.aborted) {
        await release();
        await pause(NOW_AND_THEN_MS);
      }
    },
  };
  return operator;
}
