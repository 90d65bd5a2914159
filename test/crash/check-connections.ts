import type { Books, Finding } from "./books.ts";
import { wasStruckOff } from "./generation.ts";
import type { MailConnection } from "./mail-book.ts";
import { ACCOUNT_NAMES, type AccountName, LEASE_MS, MOST_CONNECTIONS } from "./settings.ts";

/** What the server hears of an end later than of the next beginning, on a busy machine. */
const SLACK_MS = 300;

/** Never more connections to an account than it may have, but for those of dispatchers that stood still. */
export function connectionFaults(books: Books): Finding[] {
  return ACCOUNT_NAMES.flatMap((account) => {
    const crowd = largestCrowd(books, account);
    if (crowd.length <= MOST_CONNECTIONS[account]) return [];
    const entries = crowd.map((one) => `  ${JSON.stringify(one)}`);
    return [{ id: null, what: [`${crowd.length} connections of ${account} at once:`, ...entries].join("\n") }];
  });
}

/** The most that were open at once, of dispatchers that did not stand still. */
export function largestCrowd(books: Books, account: AccountName): MailConnection[] {
  let open: MailConnection[] = [];
  let largest: MailConnection[] = [];
  for (const one of books.mail.connections) {
    if (one.account !== account) continue;
    open = [...open.filter(({ closedAt }) => closedAt === null || closedAt > one.openedAt + SLACK_MS), one];
    if (open.length <= largest.length) continue;
    const counted = open.filter((each) => counts(each, books));
    if (counted.length > largest.length) largest = counted;
  }
  return largest;
}

/** Its dispatcher is known, and was there all the time. */
function counts({ dispatcher, openedAt, closedAt }: MailConnection, books: Books): boolean {
  const generation = books.generation(dispatcher);
  if (generation === undefined) return false;
  const until = closedAt ?? Date.now();
  const stoodStill = generation.stops.some(({ from, to }) => {
    const end = to ?? Date.now();
    return end - from >= LEASE_MS / 2 && end >= openedAt && from <= until;
  });
  return !stoodStill && !wasStruckOff(generation);
}
