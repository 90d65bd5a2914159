import type { Finding } from "./books.ts";
import type { Begun } from "./mail-book.ts";
import { LIMIT_PER_MINUTE } from "./settings.ts";

const WINDOW_MS = 60_000;

/** When the limit bound. Wall ms; null: it still does. */
export type Bound = readonly { from: number; to: number | null }[];

/** The most messages begun in any 60 s of the times in which the limit bound, by the server's own clock. */
export function largestWindow(begun: readonly Begun[], bound: Bound): Begun[] {
  const limited = begun.filter(({ account }) => account === "limited");
  let largest: Begun[] = [];
  for (const { from, to } of bound) {
    const times = limited.filter(({ at }) => at >= from && at <= (to ?? Number.POSITIVE_INFINITY));
    let first = 0;
    times.forEach((one, last) => {
      while (one.at - (times[first] as Begun).at >= WINDOW_MS) first += 1;
      if (last - first + 1 > largest.length) largest = times.slice(first, last + 1);
    });
  }
  return largest;
}

export function limitFaults(begun: readonly Begun[], bound: Bound): Finding[] {
  const window = largestWindow(begun, bound);
  if (window.length <= LIMIT_PER_MINUTE) return [];
  const entries = window.map((one) => `  ${JSON.stringify(one)}`);
  return [{ id: null, what: [`${window.length} messages begun in 60 s:`, ...entries].join("\n") }];
}
