import { median, type Values } from "./rounds.ts";

/** One line of the table. */
export type Figure = {
  what: string;
  /** Of each round. */
  values: Values;
  unit: string;
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

function shown(value: number): string {
  if (!Number.isFinite(value)) return "unknown";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}
