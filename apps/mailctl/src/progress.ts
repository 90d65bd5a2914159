import { Presets, SingleBar } from "cli-progress";
import type { Deps } from "./deps.ts";
import { Refused } from "./faults.ts";

export type Moving = { move(done: number, all: number): void; stop(): void };

/** A bar on a terminal. Wherever it would move, Ctrl-C ends the work in good order: `move` throws. */
export function progressBar({ terminal, stopping }: Pick<Deps, "terminal" | "stopping">, what: string): Moving {
  const stopped = stopping();
  const shown = terminal ? shownBar(what) : { move: () => {}, stop: () => {} };
  return {
    move(done, all) {
      if (stopped.aborted) throw new Refused(`${what} was stopped: nothing was changed`);
      shown.move(done, all);
    },
    stop: shown.stop,
  };
}

function shownBar(what: string): Moving {
  const bar = new SingleBar(
    { format: `${what} {bar} {percentage}%  {value}/{total}`, stream: process.stderr, clearOnComplete: true },
    Presets.shades_classic,
  );
  let begun = false;
  return {
    move(done, all) {
      if (!begun) bar.start(all, done);
      begun = true;
      bar.setTotal(all);
      bar.update(done);
    },
    stop: () => bar.stop(),
  };
}
