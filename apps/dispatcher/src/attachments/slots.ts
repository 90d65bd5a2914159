import { createWaitingLine, type WaitingLine } from "./waiting-line.ts";

/** Places that may be taken at once, by kind: so many of each, so many of all together. */
export type Slots = WaitingLine<string>;

export function createSlots({ each, all }: { each: number; all: number }): Slots {
  const taken = new Map<string, number>();
  let sum = 0;
  return createWaitingLine<string>({
    fits: (kind) => sum < all && (taken.get(kind) ?? 0) < each,
    count: (kind, change) => {
      sum += change;
      const now = (taken.get(kind) ?? 0) + change;
      if (now === 0) taken.delete(kind);
      else taken.set(kind, now);
    },
    mayPass: true,
  });
}
