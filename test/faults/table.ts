import type { FaultRow } from "./fault-case.ts";
import { counted } from "./judge.ts";
import type { Observed } from "./observe.ts";
import type { CaseResult } from "./run-case.ts";

const BEGIN = "<!-- faults: written by `npm run bench:faults -- --write` -->\n";
const END = "<!-- end of faults -->";
const LONGEST_QUOTE = 70;

/** The table as docs/faults.md shows it; `results` by the name of the case. */
export function faultTable(rows: readonly FaultRow[], results: ReadonlyMap<string, CaseResult>): string {
  const lines = rows.map((row) => tableLine([faultCell(row), row.must, happened(row, results)]));
  return [tableLine(["fault", "what must happen", "what happened"]), "| --- | --- | --- |", ...lines, ""].join("\n");
}

export function withFaultTable(text: string, table: string): string {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin === -1 || end < begin)
    throw new Error(`docs/faults.md has no lines ${BEGIN.trim()} and ${END}, in this order`);
  return `${text.slice(0, begin + BEGIN.length)}\n${table}\n${text.slice(end)}`;
}

/** What the line of a row begins with: its fault, its cases, and what must happen. */
export function promise(row: FaultRow): string {
  return tableLine([faultCell(row), row.must, ""]).replace(/ +\|$/, "");
}

function faultCell({ fault, cases }: FaultRow): string {
  return `${fault}: ${cases.map(({ name }) => name).join("; ")}`;
}

function tableLine(cells: string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll(/\s+/g, " ")).join(" | ")} |`;
}

/** Cases that ended alike are told in one, with the words of each. */
function happened({ cases }: FaultRow, results: ReadonlyMap<string, CaseResult>): string {
  const alike = new Map<string, { names: string[]; quotes: Set<string> }>();
  for (const { name } of cases) {
    const result = results.get(name);
    const text = result === undefined ? "**not played**" : told(result);
    const group = alike.get(text) ?? { names: [], quotes: new Set() };
    group.names.push(name);
    if (result !== undefined) group.quotes.add(quote(result.observed));
    alike.set(text, group);
  }
  const texts = [...alike].map(([text, { names, quotes }]) => {
    const words = [...quotes].filter(Boolean).join(", ");
    return `${alike.size > 1 ? `${names.join("; ")}: ` : ""}${text}${words === "" ? "" : ` (${words})`}`;
  });
  return texts.join(". ");
}

function told({ observed, differences }: CaseResult): string {
  const { faulty, other } = observed;
  const also = faulty.recipients.length > 1 ? [numbers(counted(faulty.recipients))] : [];
  const parts = [ofMessage(observed), ...also, ...copies(observed), ofOther(other)];
  const wrong = differences.length === 0 ? "" : ` **WRONG: ${differences.join("; ")}**`;
  return parts.join(", ") + wrong;
}

function ofMessage({ faulty, account }: Observed): string {
  const outcomes = faulty.history.map(({ outcome }) => outcome);
  const ambiguous = outcomes.includes("ambiguous") ? "ambiguous, " : "";
  if (faulty.status === "error") return `${ambiguous}error at attempt ${faulty.attempts}`;
  if (faulty.status === "sent") {
    const held = outcomes.includes("held") ? "held, then " : "";
    return `${ambiguous}${held}sent at attempt ${faulty.attempts}`;
  }
  if (account.state === "held") return `account held, ${faulty.attempts} attempts counted`;
  return `${ambiguous}${faulty.attempts} attempts, the next in an hour`;
}

function copies({ transactions, faulty }: Observed): string[] {
  const whole = transactions.faulty.filter((one) => one.whole);
  if (whole.length < 2 || !faulty.history.some(({ outcome }) => outcome === "ambiguous")) return [];
  return [`${whole.length} copies with ${new Set(whole.map(({ messageId }) => messageId)).size} Message-ID`];
}

function ofOther({ status }: Observed["other"]): string {
  return status === "sent" ? "the other mail sent" : "the other mail waits";
}

function numbers(counts: Record<string, number>): string {
  return Object.entries(counts)
    .toSorted()
    .map(([outcome, count]) => `${count} ${outcome}`)
    .join(" and ");
}

/** The words that a person reads, without the port of the moment. */
function quote({ faulty }: Observed): string {
  const text = faulty.error ?? faulty.deferred_reason ?? "";
  const words = text.replace(/^(held|retry): /, "").replaceAll(/[\w.]+:\d{4,5}(?=: )/g, "host:port");
  if (words === "") return "";
  return `“${words.length > LONGEST_QUOTE ? `${words.slice(0, LONGEST_QUOTE)}…` : words}”`;
}
