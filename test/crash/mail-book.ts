/**
 * What became of the reply to a copy's final dot. whole: 250, written to the last byte. half: broken off in the middle.
 * withheld: never written. unread: the dispatcher had gone before it could be written.
 */
export type CopyReply = "whole" | "half" | "withheld" | "unread";

/** A message taken after its final dot. Times are wall ms. */
export type Copy = {
  id: string;
  attempt: number;
  account: string;
  /** Those that RCPT accepted. */
  recipients: string[];
  /** The start of a dispatcher, by the name with which it greets: `d2-7` is the seventh of the second. */
  dispatcher: string;
  at: number;
  reply: CopyReply;
  repliedAt: number | null;
  messageId: string;
  date: string;
  /** Null: all of the message was there. */
  damage: string | null;
};

/** A MAIL FROM. */
export type Begun = { account: string; id: string; attempt: number; dispatcher: string; at: number; answer: string };

/** The dispatcher is known from its greeting on. */
export type MailConnection = { account: string; dispatcher: string; openedAt: number; closedAt: number | null };

/** What the mail server itself knows; nothing in it comes from the service. */
export type MailBook = {
  copies: Copy[];
  begun: Begun[];
  /** Of one message, in the order of their dots. */
  copiesOf(id: string): Copy[];
  begunOf(id: string): Begun[];
  begin(one: Omit<Begun, "attempt" | "answer">): Begun;
  take(copy: Copy): void;
  /** In the order of their openings. */
  connections: MailConnection[];
};

export function createMailBook(): MailBook {
  const copiesById = new Map<string, Copy[]>();
  const begunById = new Map<string, Begun[]>();
  const copies: Copy[] = [];
  const begun: Begun[] = [];
  const copiesOf = (id: string) => copiesById.get(id) ?? [];
  const begunOf = (id: string) => begunById.get(id) ?? [];
  return {
    copies,
    begun,
    copiesOf,
    begunOf,
    begin(one) {
      const before = begunOf(one.id);
      const entry = { ...one, attempt: before.length + 1, answer: "none" };
      begun.push(entry);
      begunById.set(one.id, [...before, entry]);
      return entry;
    },
    take(copy) {
      copies.push(copy);
      copiesById.set(copy.id, [...copiesOf(copy.id), copy]);
    },
    connections: [],
  };
}
