import { quote } from "./read.ts";

// A body may hold a million of them, and each guess compares it with every known word.
const MOST_NAMED = 10;

/** One text for each field of `raw` that is not among `known`; such a field is ignored. `where` is the path before it. */
export function unknownFields(raw: object, known: readonly string[], where = ""): string[] {
  const unknown = Object.keys(raw).filter((field) => !known.includes(field));
  const named = unknown.slice(0, MOST_NAMED).map((field) => {
    const near = nearest(field, known);
    const hint = near === null ? "" : `, did you mean "${where}${near}"?`;
    return `unknown field ${quote(where + field)}${hint}`;
  });
  const more = unknown.length - named.length;
  return more > 0 ? [...named, `${more} more unknown fields`] : named;
}

/** The known word that a typing mistake may have meant; null when none is near. */
export function nearest(word: string, known: readonly string[]): string | null {
  const written = word.toLowerCase().replaceAll("-", "_");
  if (written.length > 40) return null;
  let best = written.length < 3 ? undefined : known.find((candidate) => candidate.startsWith(written));
  let bestDistance = Math.ceil(written.length / 3) + 1;
  for (const candidate of known) {
    const distance = editDistance(written, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best ?? null;
}

/** Levenshtein's: the fewest letters to insert, delete or replace. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
