/** Room for so many bytes at a time, in the hands of messages. */
export type ByteRoom = {
  /**
   * Resolves when there is room; throws the signal's reason when aborted before. The oldest message always gets what it
   * wants: else several that each hold one file and want another would wait for one another.
   */
  take(message: number, bytes: number, signal: AbortSignal): Promise<void>;
  /** All that the message holds. */
  giveBack(message: number): void;
};

type Waiter = { message: number; bytes: number; enter(): void };

/** A smaller number is an older message. */
export function createByteRoom(allBytes: number): ByteRoom {
  const held = new Map<number, number>();
  let waiting: Waiter[] = [];
  let taken = 0;

  function mayEnter({ message, bytes }: Waiter): boolean {
    if (taken + bytes <= allBytes) return true;
    return [...held.keys(), ...waiting.map((one) => one.message)].every((other) => other >= message);
  }

  function hold({ message, bytes }: Waiter): void {
    taken += bytes;
    held.set(message, (held.get(message) ?? 0) + bytes);
  }

  function admit(): void {
    for (let next = waiting.find(mayEnter); next !== undefined; next = waiting.find(mayEnter)) {
      const entering = next;
      waiting = waiting.filter((one) => one !== entering);
      hold(entering);
      entering.enter();
    }
  }

  return {
    take(message, bytes, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const onAbort = () => {
          waiting = waiting.filter((one) => one !== waiter);
          reject(signal.reason);
          admit();
        };
        const enter = () => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        };
        const waiter: Waiter = { message, bytes, enter };
        signal.addEventListener("abort", onAbort, { once: true });
        waiting.push(waiter);
        admit();
      });
    },
    giveBack(message) {
      taken -= held.get(message) ?? 0;
      held.delete(message);
      admit();
    },
  };
}
