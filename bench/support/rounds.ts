/** What was measured, in the same unit, once in each round. */
export type Values = number[];

export function median(values: Values): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  if (Number.isInteger(middle)) return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
  return sorted[Math.floor(middle)] ?? Number.NaN;
}

/** The part below which `share` of the values are. */
export function percentile(values: Values, share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
}

/**
 * Measures each contender once a round, round after round, so that whatever else the machine does meets all of them; in
 * every second round in the other order.
 */
export async function inTurn<Name extends string>(
  rounds: number,
  contenders: Record<Name, () => Promise<number>>,
  tell: (text: string) => void,
): Promise<Record<Name, Values>> {
  const names = Object.keys(contenders) as Name[];
  const values = Object.fromEntries(names.map((name) => [name, [] as Values])) as Record<Name, Values>;
  for (let round = 0; round < rounds; round += 1) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const value = await contenders[name]();
      values[name].push(value);
      tell(`round ${round + 1}, ${name}: ${value.toPrecision(4)}`);
    }
  }
  return values;
}

/** Round by round, so that a slow moment of the machine is in both. */
export function ratios(of: Values, to: Values): Values {
  return of.map((value, round) => value / (to[round] ?? Number.NaN));
}
