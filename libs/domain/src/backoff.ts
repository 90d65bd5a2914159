/** `firstMs` doubled `times` times, at most `maxMs`. */
export function doublingMs(firstMs: number, times: number, maxMs: number): number {
  return Math.min(firstMs * 2 ** Math.min(times, 50), maxMs);
}

/** The wait after the attempt that follows `attempts` earlier ones; the last delay repeats. `jitter` (0 to 1) adds up to a tenth. */
export function retryDelayMs(attempts: number, delaysMs: number[], jitter: number): number {
  const delayMs = delaysMs[Math.min(attempts, delaysMs.length - 1)] ?? 0;
  return Math.round(delayMs * (1 + jitter / 10));
}

/** The same where tries are not counted: the age tells how many delays have passed. */
export function retryDelayByAgeMs(ageMs: number, delaysMs: number[], jitter: number): number {
  let passed = 0;
  let sumMs = delaysMs[0] ?? 0;
  while (passed < delaysMs.length - 1 && sumMs <= ageMs) sumMs += delaysMs[++passed]!;
  return retryDelayMs(passed, delaysMs, jitter);
}

/** How long an account is held after its `failures`-th fault in a row (counted from 1): 5 s doubling to 15 min. */
export function holdDelayMs(failures: number): number {
  return doublingMs(5_000, Math.max(failures - 1, 0), 900_000);
}
