import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Books, Finding } from "./books.ts";
import type { MessageRecord } from "./service-client.ts";

const MOST_SHOWN = 5;

/** What is wrong, with all that every side knows of the message. */
export function describeFindings(findings: Finding[], books: Books, records: Map<string, MessageRecord>): string {
  const shown = findings.slice(0, MOST_SHOWN).map((one) => describe(one, books, records));
  const rest = findings.slice(MOST_SHOWN).map(({ id, what }) => `${id ?? "-"}: ${what}`);
  return [...shown, ...rest].join("\n\n");
}

function describe({ id, what }: Finding, books: Books, records: Map<string, MessageRecord>): string {
  if (id === null) return `WRONG: ${what}`;
  const { history = [], ...record } = records.get(id) ?? { history: [] };
  const entry = books.posts.entries.get(id);
  const copies = books.mail.copiesOf(id);
  const names = new Set(books.mail.begunOf(id).map(({ dispatcher }) => dispatcher));
  const generations = [...names].map((name) => books.generation(name));
  return [
    `WRONG: ${id}: ${what}`,
    `record: ${JSON.stringify(record)}`,
    listed("history", history),
    listed("posted in calls", entry?.calls ?? []),
    listed("the server: begun", books.mail.begunOf(id)),
    listed("the server: copies", copies),
    listed("the client: reports", books.sync.postedOf(id)),
    listed("dispatchers", generations),
  ].join("\n");
}

function listed(name: string, entries: readonly unknown[]): string {
  return [`${name}:`, ...entries.map((one) => `  ${JSON.stringify(one)}`)].join("\n");
}

/** All that the books hold, for whoever looks into it later. */
export function keepBooks(folder: string, books: Books, records: Map<string, MessageRecord>): void {
  const { posts, mail, sync } = books;
  const reports = sync.ids().map((id) => [id, sync.postedOf(id)]);
  const kept = {
    posts: [...posts.entries.values()],
    begun: mail.begun,
    copies: mail.copies,
    calls: sync.calls,
    reports,
    records: [...records.values()],
  };
  writeFileSync(join(folder, "books.json"), JSON.stringify(kept, null, 1));
}
