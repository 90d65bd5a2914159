import { createWaitingLine, type WaitingLine } from "./waiting-line.ts";

/** Room for so much at a time. */
export type Room = WaitingLine<number>;

/** What is larger than all of it goes alone. */
export function createRoom(all: number): Room {
  let taken = 0;
  return createWaitingLine<number>({
    fits: (amount) => taken === 0 || taken + amount <= all,
    count: (amount, change) => {
      taken += change * amount;
    },
    mayPass: false,
  });
}
