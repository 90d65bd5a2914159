/** 0 immediate, 1 high, 2 medium, 3 low. */
export type Priority = 0 | 1 | 2 | 3;

const LABELS = new Map<string, Priority>([
  ["immediate", 0],
  ["high", 1],
  ["medium", 2],
  ["low", 3],
]);

export const PRIORITY_WORDS = `0, 1, 2, 3, ${[...LABELS.keys()].join(", ")}`;

/** 0–3, numeric text, or a label in any case; out of range is clamped. Null: not a priority. */
export function parsePriority(value: unknown): Priority | null {
  if (typeof value === "number") return clamp(value);
  if (typeof value !== "string") return null;
  const text = value.trim().toLowerCase();
  return LABELS.get(text) ?? (/^[+-]?\d+(\.\d+)?$/.test(text) ? clamp(Number(text)) : null);
}

function clamp(number: number): Priority | null {
  return Number.isNaN(number) ? null : (Math.trunc(Math.min(Math.max(number, 0), 3)) as Priority);
}
