/** How fast messages leave, account by account. */
export type Paces = {
  /** One of the account has left. */
  left(accountKey: number): void;
  /** How many leave within so long, at the pace of just now; accounts of which none does are missing. */
  leaveWithin(ms: number): ReadonlyMap<number, number>;
};

/** So long is counted before a pace is believed: outcomes come in groups. */
const COUNTED_MS = 50;

type Pace = { perMs: number; count: number };

export function createPaces(monotonicMs: () => number): Paces {
  const paces = new Map<number, Pace>();
  let sinceMs = monotonicMs();

  function renew(): void {
    const nowMs = monotonicMs();
    const ms = nowMs - sinceMs;
    if (ms < COUNTED_MS) return;
    for (const [key, pace] of paces) {
      if (pace.count === 0 && pace.perMs * ms < 0.1) paces.delete(key);
      pace.perMs = Math.max(pace.count / ms, pace.perMs * 0.8);
      pace.count = 0;
    }
    sinceMs = nowMs;
  }

  return {
    left(accountKey) {
      const pace = paces.get(accountKey);
      if (pace === undefined) paces.set(accountKey, { perMs: 0, count: 1 });
      else pace.count += 1;
    },
    leaveWithin(ms) {
      renew();
      const found = new Map<number, number>();
      for (const [key, { perMs }] of paces) if (perMs * ms >= 1) found.set(key, Math.floor(perMs * ms));
      return found;
    },
  };
}
