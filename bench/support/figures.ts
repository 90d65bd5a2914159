import { median, type Values } from "./rounds.ts";

/** How a part is to be measured. */
export type Settings = {
  rounds: number;
  /** Sent in a round, where a part sends a fixed number. */
  messages: number;
  /** What waits, or has been sent, where it matters how much that is. */
  stored: number;
  tell(text: string): void;
};

/** One line of the table. */
export type Figure = {
  what: string;
  /** Of each round. */
  values: Values;
  unit: string;
  /** `what` speaks of the figure so many lines before it. */
  of?: number;
  /** Shown in the README, though nothing is wanted of it. */
  headline?: boolean;
  /** What the median is wanted to be. */
  wanted?: { atLeast: number } | { atMost: number };
};

export type Part = {
  name: string;
  about: string;
  figures: Figure[];
};

export function isMet({ values, wanted }: Figure): boolean | null {
  if (wanted === undefined) return null;
  const value = median(values);
  return "atLeast" in wanted ? value >= wanted.atLeast : value <= wanted.atMost;
}

/** A table in Markdown. */
export function table({ figures }: Part): string {
  const rows = figures.map((figure) => {
    const { what, values, unit, wanted } = figure;
    const range = values.length > 1 ? `${shown(Math.min(...values))} to ${shown(Math.max(...values))}` : "";
    const aim = wanted === undefined ? "" : "atLeast" in wanted ? `≥ ${wanted.atLeast}` : `≤ ${wanted.atMost}`;
    const met = isMet(figure);
    return `| ${what} | ${shown(median(values))} ${unit} | ${range} | ${aim} | ${met === null ? "" : met ? "met" : "missed"} |`;
  });
  return ["| measured | median | range | wanted | |", "| --- | --- | --- | --- | --- |", ...rows].join("\n");
}

export function shown(value: number): string {
  if (!Number.isFinite(value)) return "unknown";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}
