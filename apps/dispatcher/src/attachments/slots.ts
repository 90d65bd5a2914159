/** Places that may be taken at once: so many of each kind, so many of all kinds together. */
export type Slots = {
  /** Resolves, first come first, with what gives the place back; throws the signal's reason when aborted before. */
  take(kind: string, signal: AbortSignal): Promise<() => void>;
};

type Waiter = { kind: string; seat(): void };

export function createSlots({ each, all }: { each: number; all: number }): Slots {
  const taken = new Map<string, number>();
  let sum = 0;
  let waiting: Waiter[] = [];

  const isFree = (kind: string) => sum < all && (taken.get(kind) ?? 0) < each;

  function occupy(kind: string): () => void {
    count(kind, 1);
    let given = false;
    return () => {
      if (given) return;
      given = true;
      count(kind, -1);
      seatNext();
    };
  }

  function count(kind: string, change: 1 | -1): void {
    sum += change;
    const now = (taken.get(kind) ?? 0) + change;
    if (now === 0) taken.delete(kind);
    else taken.set(kind, now);
  }

  function seatNext(): void {
    const next = waiting.find(({ kind }) => isFree(kind));
    if (next === undefined) return;
    waiting = waiting.filter((one) => one !== next);
    next.seat();
  }

  return {
    take(kind, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        if (isFree(kind)) return resolve(occupy(kind));
        const waiter: Waiter = {
          kind,
          seat: () => {
            signal.removeEventListener("abort", onAbort);
            resolve(occupy(kind));
          },
        };
        const onAbort = () => {
          waiting = waiting.filter((one) => one !== waiter);
          reject(signal.reason);
        };
        waiting.push(waiter);
        signal.addEventListener("abort", onAbort, { once: true });
      });
    },
  };
}
