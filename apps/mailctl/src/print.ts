import { isoTime } from "@async-mail/runtime/clock";
import type { Deps, Global } from "./deps.ts";

/** The answer as it came, or as people read it. */
export function print(
  { out }: Pick<Deps, "out">,
  { json }: Pick<Global, "json">,
  answer: unknown,
  text: () => string,
): void {
  out(json ? JSON.stringify(answer, null, 2) : text());
}

/** What the service, or the command, wants to be known besides. */
export function tellWarnings({ tell }: Pick<Deps, "tell">, { warnings = [] }: { warnings?: string[] }): void {
  for (const warning of warnings) tell(`mailctl: note: ${warning}`);
}

const GAP = "  ";

/** Columns side by side; the last one may be as long as it is. */
export function table(head: string[], rows: (string | number | null | undefined)[][]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => oneLine(String(cell ?? ""))));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join(GAP)
        .trimEnd(),
    )
    .join("\n");
}

/** Name and value, one a line; what has no value is left out. */
export function fields(rows: [string, string | number | null | undefined][]): string {
  const shown = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${name.padEnd(width)}${GAP}${oneLine(String(value))}`).join("\n");
}

/** What others wrote must not draw on the terminal. */
export function oneLine(text: string): string {
  return text.replaceAll(/[\x00-\x1f\x7f-\x9f]+/g, " ");
}

export function shownSeconds(seconds: number | null | undefined): string {
  return seconds === null || seconds === undefined ? "" : isoTime(seconds * 1000).replace(".000", "");
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
