import { setTimeout as pause } from "node:timers/promises";
import { type Chance, chance } from "../support/random.ts";
import type { Fleet, Slot } from "./fleet.ts";
import { LEASE_MS } from "./settings.ts";

/** A stop is shorter than half the lease, or longer than all of it. */
export type Kill = "SIGKILL" | "SIGTERM" | "SIGSTOP, short" | "SIGSTOP, long";

export type Killer = {
  counts: Map<string, number>;
  /** Kills as the seed has it for that round. */
  round(number: number, lengthMs: number): void;
  /** That start of a process, if it still runs. */
  now(generation: string, kill: Kill): void;
  /** Resolves when everyone stopped goes on again. */
  done(): Promise<void>;
};

type Strike = { kill: Kill; stopMs: number; again: boolean };

const KILLS: readonly (readonly [number, Kill])[] = [
  [3, "SIGKILL"],
  [3, "SIGTERM"],
  [2, "SIGSTOP, short"],
  [2, "SIGSTOP, long"],
];

function strikeOf(random: Chance, kill: Kill): Strike {
  const leases = kill === "SIGSTOP, long" ? random.between(1.4, 2) : random.between(0.02, 0.4);
  return { kill, stopMs: leases * LEASE_MS, again: random.happens(0.2) };
}

/** Ends and stops processes by chance. */
export function createKiller(seed: string, fleet: Fleet): Killer {
  const counts = new Map<string, number>();
  const underWay = new Set<Promise<void>>();

  async function strike(slot: Slot, { kill, stopMs, again }: Strike): Promise<void> {
    // Started a moment ago, or stopped: the next one finds another.
    if (!slot.free()) return;
    const name = `${kill} ${slot.kind}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
    if (kill === "SIGKILL" || kill === "SIGTERM") return end(slot, kill, again);
    slot.stop();
    await pause(stopMs);
    slot.continue();
  }

  function keep(one: Promise<void>): void {
    const kept = one.finally(() => underWay.delete(kept));
    underWay.add(kept);
  }

  return {
    counts,
    round(number, lengthMs) {
      const random = chance(seed, "kills", number);
      for (let kills = random.whole(0, 3); kills > 0; kills -= 1) {
        const slot = random.pick(fleet.slots);
        const how = strikeOf(random, random.weighted(KILLS));
        keep(pause(random.between(0, lengthMs)).then(() => strike(slot, how)));
      }
    },
    now(generation, kill) {
      const slot = fleet.slots.find((one) => one.runs(generation));
      if (slot !== undefined) keep(strike(slot, strikeOf(chance(seed, "strike", generation), kill)));
    },
    done: async () => {
      await Promise.all(underWay);
    },
  };
}

/** A second signal, from 1 s after the first, means it. */
async function end(slot: Slot, kind: "SIGKILL" | "SIGTERM", again: boolean): Promise<void> {
  slot.signal(kind);
  if (kind === "SIGKILL" || !again) return;
  await pause(1100);
  if (!slot.free()) slot.signal(kind);
}
