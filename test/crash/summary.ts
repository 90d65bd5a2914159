import type { Books } from "./books.ts";
import { largestCrowd } from "./check-connections.ts";
import { duplicatesOf } from "./check-copies.ts";
import { largestWindow } from "./check-limit.ts";
import { ACCOUNT_NAMES, LIMIT_PER_MINUTE, MOST_CONNECTIONS } from "./settings.ts";
import type { Stage } from "./stage.ts";

/** What a run has shown, for people. */
export function summarize(
  { books, checker, killer, operator, fleet }: Stage,
  { rounds, seed, seconds }: { rounds: number; seed: string; seconds: number },
): string {
  const records = [...checker.records.values()];
  const { posts, mail, sync } = books;
  const states = tally(records, ({ status }) => status);
  const duplicates = records.flatMap((record) => duplicatesOf(record, books));
  const refused = sync.calls.filter(({ number }) => !sync.acknowledged.has(number)).length;
  const window = largestWindow(mail.begun, operator.bound);
  const calls = [...posts.entries.values()].reduce((sum, entry) => sum + entry.calls.length, 0);
  return [
    `${rounds} rounds in ${Math.round(seconds)} s, seed ${seed}`,
    `messages: ${posts.entries.size} posted (${calls - posts.entries.size} posted again), ${posts.accepted().length} accepted`,
    `kills: ${shown(killer.counts)}; ${fleet.generations.length} starts`,
    `attempts: ${mail.begun.length} MAIL FROM, ${mail.copies.length} copies taken`,
    `ended: ${shown(states)}`,
    `duplicates: ${duplicates.length} of ${recipients(books)} recipients${causes(tally(duplicates, ({ excuse }) => excuse ?? "NO EXCUSE"))}`,
    `reports: ${sync.calls.length} calls, ${refused} refused by the client; ${sync.overlaps.length} beside one of a reporter that stood still or died`,
    `limit: at most ${window.length} messages begun in 60 s, of ${LIMIT_PER_MINUTE}`,
    `connections at once: ${ACCOUNT_NAMES.map((name) => `${name} ${largestCrowd(books, name).length} of ${MOST_CONNECTIONS[name]}`).join(", ")}`,
  ].join("\n");
}

function tally<T>(list: T[], of: (one: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const one of list) counts.set(of(one), (counts.get(of(one)) ?? 0) + 1);
  return counts;
}

function shown(counts: Map<string, number>): string {
  const sorted = [...counts].toSorted(([a], [b]) => a.localeCompare(b));
  return sorted.map(([name, count]) => `${name} ${count}`).join(", ") || "none";
}

function causes(counts: Map<string, number>): string {
  return [...counts].map(([name, count]) => `\n  ${count}: ${name}`).join("");
}

function recipients({ posts }: Books): number {
  return posts.accepted().reduce((sum, { message: { to, cc, bcc } }) => sum + to.length + cc.length + bcc.length, 0);
}
