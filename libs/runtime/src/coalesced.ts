import type { Clock } from "./clock.ts";

/** Between two runs of one kind: nobody notices so short a wait, and any number of calls cost the same. */
const GAP_MS = 20;

/** Calls that come while `work` runs, or too soon after it began, share the next run and its result. */
export function coalesced<T>(work: () => Promise<T>, clock: Pick<Clock, "sleep" | "monotonicMs">): () => Promise<T> {
  let next: Promise<T> | null = null;
  let lastMs = Number.NEGATIVE_INFINITY;

  async function runNext(): Promise<T> {
    await clock.sleep(lastMs + GAP_MS - clock.monotonicMs());
    next = null;
    lastMs = clock.monotonicMs();
    return work();
  }
  return () => {
    next ??= runNext();
    return next;
  };
}
