/** Room for so much at a time. */
export type Room = {
  /** Resolves, first come first, with what gives it back; throws the signal's reason when aborted before. */
  take(amount: number, signal: AbortSignal): Promise<() => void>;
};

type Waiter = { amount: number; enter(): void };

/** What is larger than all of it goes alone. */
export function createRoom(all: number): Room {
  let waiting: Waiter[] = [];
  let taken = 0;

  function admit(): void {
    for (let next = waiting[0]; next !== undefined && fits(next); next = waiting[0]) {
      waiting.shift();
      next.enter();
    }
  }

  function fits({ amount }: Waiter): boolean {
    return taken === 0 || taken + amount <= all;
  }

  function occupy(amount: number): () => void {
    taken += amount;
    let given = false;
    return () => {
      if (given) return;
      given = true;
      taken -= amount;
      admit();
    };
  }

  return {
    take(amount, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const onAbort = () => {
          waiting = waiting.filter((one) => one !== waiter);
          reject(signal.reason);
          admit();
        };
        const enter = () => {
          signal.removeEventListener("abort", onAbort);
          resolve(occupy(amount));
        };
        const waiter: Waiter = { amount, enter };
        signal.addEventListener("abort", onAbort, { once: true });
        waiting.push(waiter);
        admit();
      });
    },
  };
}
