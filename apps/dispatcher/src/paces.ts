/** How fast messages leave, account by account. */
export type Paces = {
  /** One of the account has left. */
  left(accountKey: number): void;
  /** How many leave within so long, at the pace of just now; accounts of which none does are missing. */
  leaveWithin(ms: number): ReadonlyMap<number, number>;
  /** For how long none of the account has left. */
  quietMs(accountKey: number): number;
};

/** So long is counted before a pace is believed: outcomes come in groups. */
const COUNTED_MS = 50;
/** What is left of a pace after as long in which it was not kept: a pause may have been the file's. */
const KEPT = 0.8;
/** Then it is forgotten. */
const LONG_QUIET_MS = 60_000;

type Pace = { perMs: number; count: number; leftMs: number };

export function createPaces(monotonicMs: () => number): Paces {
  const paces = new Map<number, Pace>();
  const createdMs = monotonicMs();
  let sinceMs = createdMs;

  function renew(): void {
    const nowMs = monotonicMs();
    const ms = nowMs - sinceMs;
    if (ms < COUNTED_MS) return;
    const kept = KEPT ** (ms / COUNTED_MS);
    for (const [key, pace] of paces) {
      pace.perMs = Math.max(pace.count / ms, pace.perMs * kept);
      pace.count = 0;
      if (nowMs - pace.leftMs > LONG_QUIET_MS) paces.delete(key);
    }
    sinceMs = nowMs;
  }

  return {
    left(accountKey) {
      const pace = paces.get(accountKey) ?? { perMs: 0, count: 0, leftMs: 0 };
      paces.set(accountKey, pace);
      pace.count += 1;
      pace.leftMs = monotonicMs();
    },
    leaveWithin(ms) {
      renew();
      const found = new Map<number, number>();
      for (const [key, { perMs }] of paces) if (perMs * ms >= 1) found.set(key, Math.floor(perMs * ms));
      return found;
    },
    quietMs: (accountKey) => monotonicMs() - (paces.get(accountKey)?.leftMs ?? createdMs),
  };
}
