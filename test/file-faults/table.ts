import type { FileFault } from "./file-fault.ts";
import { differences } from "./judge.ts";
import type { Played } from "./run-case.ts";

const BEGIN = "<!-- file faults: written by `npm run bench:file-faults -- --write` -->\n";
const END = "<!-- end of file faults -->";
const HEAD = [
  "fault",
  "what must happen",
  "what happened",
  "time",
  "requests",
  "memory",
  "mail beside it went out after",
];

export type TableRow = {
  fault: FileFault;
  played: Played;
  /** By which the dispatcher's resident size grew at most; null: not known here. */
  grownBytes: number | null;
};

/** The table as docs/faults.md shows it. */
export function fileFaultTable(rows: readonly TableRow[]): string {
  return [tableLine(HEAD), tableLine(HEAD.map(() => "---")), ...rows.map(rowOf), ""].join("\n");
}

export function withFileFaultTable(text: string, table: string): string {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin === -1 || end < begin)
    throw new Error(`docs/faults.md has no lines ${BEGIN.trim()} and ${END}, in this order`);
  return `${text.slice(0, begin + BEGIN.length)}\n${table}\n${text.slice(end)}`;
}

/** What the line of a case begins with. */
export function promise({ name, must }: FileFault): string {
  return tableLine([name, must, ""]).replace(/ +\|$/, "");
}

function rowOf({ fault, played, grownBytes }: TableRow): string {
  const wrong = differences(fault.expected, played);
  const shown = wrong.length === 0 ? "" : ` **WRONG: ${wrong.join("; ")}**`;
  const { seconds, requests, beside } = played;
  const grown = grownBytes === null ? "no /proc here" : `+${(grownBytes / 1024 / 1024).toFixed(1)} MB`;
  const besideIt = beside.status === "sent" ? `${beside.ms.toFixed(0)} ms` : `**${beside.status}**`;
  const cells = [told(played) + shown, `${seconds.toFixed(1)} s`, String(requests), grown, besideIt];
  return tableLine([fault.name, fault.must, ...cells]);
}

/** In the words that a person reads, without the port of the moment. */
function told({ record: { status, history } }: Played): string {
  const [first] = history;
  const words = (first?.response ?? "").replace(/^.*Attachment fetch failed: report\.pdf: /, "");
  const quoted = `“${words.replaceAll(/\b[\w.]+:\d{4,5}\b/g, "host:port")}”`;
  if (status === "error") return `error: ${quoted}`;
  if (status !== "sent") return `deferred: ${quoted}`;
  return history.length === 1 ? "sent at attempt 1" : `deferred: ${quoted}; sent at attempt ${history.length}`;
}

function tableLine(cells: string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll(/\s+/g, " ")).join(" | ")} |`;
}
