import {
  type ClaimRef,
  type Settled,
  StorageBusy,
  StorageDamaged,
  StorageUnavailable,
  type Store,
} from "@async-mail/db/store";
import { doublingMs } from "@async-mail/domain/backoff";
import type { Outcome } from "@async-mail/domain/outcome";
import type { Instant } from "@async-mail/domain/time";
import type { Clock } from "@async-mail/runtime/clock";
import type { Log } from "@async-mail/runtime/log";

export type Settler = {
  /** Writes an outcome, however long the database takes to come back. Null: it never did, before `giveUp`. */
  settle(claim: ClaimRef, outcome: Outcome, now: Instant): Promise<Settled | null>;
  /** An outcome could not be written yet: what is claimed now might not be settled either. */
  stuck(): boolean;
};

export type SettlerOptions = {
  store: { queue: Pick<Store["queue"], "settle"> };
  clock: Pick<Clock, "sleep">;
  log: Pick<Log, "storageBusy" | "storageUnavailable">;
  giveUp: AbortSignal;
};

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 5_000;

export function createSettler({ store, clock, log, giveUp }: SettlerOptions): Settler {
  let failing = 0;

  async function untilWritten(write: () => Promise<Settled>): Promise<Settled | null> {
    for (let tries = 0; !giveUp.aborted; tries++) {
      try {
        return await write();
      } catch (error) {
        if (!isPassing(error)) throw error;
        if (error instanceof StorageBusy) log.storageBusy({ what: "settling" });
        else log.storageUnavailable({ what: "settling", reason: (error as Error).message });
        await clock.sleep(doublingMs(FIRST_WAIT_MS, tries, LONGEST_WAIT_MS), giveUp);
      }
    }
    return null;
  }

  return {
    stuck: () => failing > 0,
    async settle(claim, outcome, now) {
      const write = () => store.queue.settle(claim, outcome, now);
      try {
        return await write();
      } catch (error) {
        if (!isPassing(error)) throw error;
      }
      failing += 1;
      try {
        return await untilWritten(write);
      } finally {
        failing -= 1;
      }
    },
  };
}

/** The file's trouble, not the outcome's, and not for good. */
function isPassing(error: unknown): boolean {
  if (error instanceof StorageDamaged) return false;
  return error instanceof StorageBusy || error instanceof StorageUnavailable;
}
