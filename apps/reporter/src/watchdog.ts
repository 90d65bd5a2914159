import type { Store } from "@async-mail/db/store";
import type { Clock } from "@async-mail/runtime/clock";
import type { Log } from "@async-mail/runtime/log";

/** Tells when mail that could go out sees no attempt, again every while, and when that is over. */
export type Watchdog = { look(): Promise<void> };

type Options = {
  store: { service: Pick<Store["service"], "stalled"> };
  clock: Pick<Clock, "now">;
  log: Pick<Log, "stalled" | "stallOver">;
  afterMs: number;
};

const AGAIN_MS = 300_000;

export function createWatchdog({ store, clock, log, afterMs }: Options): Watchdog {
  let toldMs: number | null = null;
  let told = "";

  return {
    async look() {
      const now = clock.now();
      const stall = await store.service.stalled(afterMs, now);
      if (stall === null) {
        if (toldMs !== null) log.stallOver();
        toldMs = null;
        told = "";
        return;
      }
      const { accounts, oldestMs, reason } = stall;
      const what = JSON.stringify([accounts.length, reason]);
      if (toldMs !== null && what === told && now.steadyMs - toldMs < AGAIN_MS) return;
      toldMs = now.steadyMs;
      told = what;
      log.stalled({
        accounts: accounts.slice(0, 10),
        count: accounts.length,
        seconds: Math.round(oldestMs / 1000),
        reason,
      });
    },
  };
}
