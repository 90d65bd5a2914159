import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isMet, type Part, shown, table } from "./figures.ts";
import { median } from "./rounds.ts";

/** What was measured last, part by part, each with the machine that it was measured on. */
export type Results = Record<string, Part & { machine: string }>;

const ROOT = join(import.meta.dirname, "../..");
const JSON_FILE = join(ROOT, "bench/results.json");
const TABLES_FILE = join(ROOT, "bench/RESULTS.md");
const README_FILE = join(ROOT, "README.md");
const BEGIN = "<!-- speed: written by `npm run bench -- --write` -->";
const END = "<!-- end of speed -->";

export function readResults(): Results {
  return existsSync(JSON_FILE) ? JSON.parse(readFileSync(JSON_FILE, "utf8")) : {};
}

/** Keeps the results of other parts as they were. */
export function writeResults(measured: Results): void {
  const results = { ...readResults(), ...measured };
  writeFileSync(JSON_FILE, `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(TABLES_FILE, tables(results));
  writeFileSync(README_FILE, withSpeedTable(readFileSync(README_FILE, "utf8"), results));
}

/** All figures, for bench/RESULTS.md. */
export function tables(results: Results): string {
  const parts = Object.values(results).map(
    (part) => `## ${part.name}\n\n${part.about}. ${part.machine}.\n\n${table(part)}\n`,
  );
  return `# What \`npm run bench -- --write\` measured last\n\n${parts.join("\n")}`;
}

/** The README with what its readers ask first: how much, against what was wanted. */
export function withSpeedTable(readme: string, results: Results): string {
  const [before = "", after = ""] = [readme.split(BEGIN)[0], readme.split(END)[1]];
  const rows = Object.values(results).flatMap(({ name, figures }) =>
    figures.flatMap((figure, i) => {
      if (figure.wanted === undefined && !figure.headline) return [];
      const what = figure.of === undefined ? figure.what : `${figure.what} ${figures[i - figure.of]?.what}`;
      const aim =
        figure.wanted === undefined
          ? ""
          : "atLeast" in figure.wanted
            ? `≥ ${figure.wanted.atLeast}`
            : `≤ ${figure.wanted.atMost}`;
      const missed = isMet(figure) === false ? ", missed" : "";
      return [`| ${name} | ${what} | ${shown(median(figure.values))} ${figure.unit} | ${aim}${missed} |`];
    }),
  );
  const machines = [...new Set(Object.values(results).map(({ machine }) => machine))].join("; ");
  const text = [
    "| part | measured | median | wanted |",
    "| --- | --- | --- | --- |",
    ...rows,
    "",
    `Measured on ${machines}.`,
  ];
  return `${before}${BEGIN}\n\n${text.join("\n")}\n\n${END}${after}`;
}
