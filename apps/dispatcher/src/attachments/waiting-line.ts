/** What there is only so much of, and those who wait for some of it. */
export type WaitingLine<T> = {
  /** Resolves with what gives it back; throws the signal's reason when aborted before. */
  take(wish: T, signal: AbortSignal): Promise<() => void>;
};

export type LineOptions<T> = {
  fits(wish: T): boolean;
  /** Some of it is taken, or given back. */
  count(wish: T, change: 1 | -1): void;
  /** Those behind may go before one who does not fit; else all wait for the first. */
  mayPass: boolean;
};

type Waiter<T> = { wish: T; enter(): void };

/** First come first. */
export function createWaitingLine<T>({ fits, count, mayPass }: LineOptions<T>): WaitingLine<T> {
  let waiting: Waiter<T>[] = [];

  function next(): Waiter<T> | undefined {
    return (mayPass ? waiting : waiting.slice(0, 1)).find(({ wish }) => fits(wish));
  }

  function admit(): void {
    for (let entering = next(); entering !== undefined; entering = next()) {
      leave(entering);
      entering.enter();
    }
  }

  function leave(waiter: Waiter<T>): void {
    waiting = waiting.filter((one) => one !== waiter);
  }

  function occupy(wish: T): () => void {
    count(wish, 1);
    let given = false;
    return () => {
      if (given) return;
      given = true;
      count(wish, -1);
      admit();
    };
  }

  return {
    take(wish, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const onAbort = () => {
          leave(waiter);
          reject(signal.reason);
          admit();
        };
        const enter = () => {
          signal.removeEventListener("abort", onAbort);
          resolve(occupy(wish));
        };
        const waiter: Waiter<T> = { wish, enter };
        signal.addEventListener("abort", onAbort, { once: true });
        waiting.push(waiter);
        admit();
      });
    },
  };
}
