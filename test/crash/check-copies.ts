import type { Books } from "./books.ts";
import { type Excuse, excuseOf } from "./excuse.ts";
import type { Copy } from "./mail-book.ts";
import type { MessageRecord } from "./service-client.ts";

/** A recipient that got the message again, and why that may be. */
export type Duplicate = { address: string; first: Copy; second: Copy; excuse: Excuse | null };

export function duplicatesOf(record: MessageRecord, books: Books): Duplicate[] {
  const copies = books.mail.copiesOf(record.id);
  const addresses = new Set(copies.flatMap(({ recipients }) => recipients));
  return [...addresses].flatMap((address) => {
    const got = copies.filter(({ recipients }) => recipients.includes(address));
    return got.slice(1).map((second, i) => {
      const first = got[i] as Copy;
      return { address, first, second, excuse: excuseOf(first, second.at, record, books) };
    });
  });
}

export function copyFaults(record: MessageRecord, books: Books): string[] {
  const copies = books.mail.copiesOf(record.id);
  const unexcused = duplicatesOf(record, books).filter(({ excuse }) => excuse === null);
  const twice = unexcused.map(
    ({ address, first, second }) =>
      `${address} got it twice, from ${first.dispatcher} and ${second.dispatcher}, and nothing excuses that`,
  );
  const ids = new Set(copies.map(({ messageId }) => messageId));
  const foreign = copies.some(({ messageId }) => messageId !== record.message_id);
  return [
    ...twice,
    ...(ids.size > 1 || foreign ? [`Message-ID ${[...ids].join()} instead of ${record.message_id}`] : []),
    ...dateFaults(record, copies),
  ];
}

/** The moment of the first attempt, unless the message began a new life after an error. */
function dateFaults({ history = [] }: MessageRecord, copies: Copy[]): string[] {
  const ends = history.filter(({ outcome }) => outcome === "error" || outcome === "ambiguous");
  const bornAgain = ends.some((one) => history.some(({ claim }) => claim > one.claim));
  const dates = new Set(copies.map(({ date }) => date));
  return dates.size > 1 && !bornAgain ? [`copies of different dates: ${[...dates].join(" and ")}`] : [];
}
