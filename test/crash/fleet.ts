import { setTimeout as pause } from "node:timers/promises";
import { endedByItself, type Generation, type ProcessKind, type Running, startGeneration } from "./generation.ts";

/** One place in the fleet, at which there is always a process: whoever ends is started again. */
export type Slot = {
  name: string;
  kind: ProcessKind;
  /** That start is the one that runs now. */
  runs(generation: string): boolean;
  /** Neither stopped nor told to end. */
  free(): boolean;
  signal(signal: "SIGKILL" | "SIGTERM"): void;
  stop(): void;
  continue(): void;
};

export type Fleet = {
  slots: Slot[];
  /** All starts, those that have ended too. */
  generations: Generation[];
  /** By its name. */
  generation(name: string): Generation | undefined;
  /** Ends all of it in good order. */
  close(): Promise<void>;
};

const NAMES: Record<string, ProcessKind> = {
  api: "api",
  d1: "dispatcher",
  d2: "dispatcher",
  d3: "dispatcher",
  r1: "reporter",
  r2: "reporter",
};

const RESTART_MS = 2000;

type Options = {
  folder: string;
  /** For one start; its name is known to the servers that it talks to. */
  envOf(kind: ProcessKind, name: string): Record<string, string>;
};

/** The service's processes under a supervisor, as an operator would run them. */
export function startFleet({ folder, envOf }: Options): Fleet {
  const generations: Generation[] = [];
  const byName = new Map<string, Generation>();
  const supervisors: Promise<void>[] = [];
  const current = new Map<string, Running>();
  let closing = false;

  async function supervise(slot: string, kind: ProcessKind): Promise<void> {
    for (let number = 1; !closing; number += 1) {
      const name = `${slot}-${number}`;
      const running = startGeneration(kind, name, { folder, env: envOf(kind, name) });
      generations.push(running.generation);
      byName.set(name, running.generation);
      current.set(slot, running);
      await running.ended;
      // Whoever cannot even start would do so a hundred times a minute.
      if (endedByItself(running.generation)) await pause(RESTART_MS);
    }
  }

  function slotOf(name: string, kind: ProcessKind): Slot {
    supervisors.push(supervise(name, kind));
    const running = () => current.get(name) as Running;
    const stopped = () => running().generation.stops.at(-1)?.to === null;
    const signal = (which: "SIGKILL" | "SIGTERM") => {
      running().generation.signals.push({ signal: which, at: Date.now() });
      running().child.kill(which);
    };
    return {
      name,
      kind,
      runs: (generation) => running().generation.name === generation,
      free: () => !stopped() && running().generation.signals.length === 0 && running().generation.end === null,
      signal,
      stop: () => {
        running().child.kill("SIGSTOP");
        running().generation.stops.push({ from: Date.now(), to: null });
      },
      continue: () => {
        const stop = running().generation.stops.at(-1);
        if (stop === undefined || stop.to !== null) return;
        running().child.kill("SIGCONT");
        stop.to = Date.now();
      },
    };
  }

  const slots = Object.entries(NAMES).map(([name, kind]) => slotOf(name, kind));
  return {
    slots,
    generations,
    generation: (name) => byName.get(name),
    close: async () => {
      closing = true;
      for (const slot of slots) slot.continue();
      for (const { generation, child } of current.values()) {
        generation.signals.push({ signal: "SIGTERM", at: Date.now() });
        child.kill("SIGTERM");
      }
      await Promise.all(supervisors);
    },
  };
}
