import { closest, distance } from "fastest-levenshtein";

/** One thing wrong with the configuration. `value` is already masked where it is a secret. */
export type ConfigFault = {
  section: string | null;
  key: string | null;
  value: string | null;
  /** Where it stands, such as `config.ini line 3` or `PORT`. */
  origin: string | null;
  wanted: string;
};

export const MASK = "********";

/** The configuration cannot be used; the message names every fault. */
export class ConfigError extends Error {
  override name = "ConfigError";
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    super(faults.map(faultText).join("\n"));
    this.faults = faults;
  }
}

export function faultText({ section, key, value, origin, wanted }: ConfigFault): string {
  const place = [section === null ? null : `[${section}]`, key].filter((part) => part !== null).join(" ");
  const shown = value === null ? "" : ` = ${JSON.stringify(value)}`;
  return `${place}${shown}${origin === null ? "" : ` (${origin})`}: wanted ${wanted}`;
}

/** The word that was probably meant; null when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  if (candidates.length === 0) return null;
  const candidate = closest(word.toLowerCase(), candidates);
  return distance(word.toLowerCase(), candidate) <= Math.max(2, Math.floor(word.length / 3)) ? candidate : null;
}
