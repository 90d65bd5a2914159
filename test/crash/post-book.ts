import type { PostedMessage } from "./message.ts";

/** One message as the application knows it. Times are wall ms. */
export type PostEntry = {
  message: PostedMessage;
  /** Calls in which it was posted: more than one when an answer did not come. */
  calls: { at: number; answer: string }[];
  /** When a 200 told that it is stored; null: not yet. */
  acceptedAt: number | null;
};

export type PostBook = {
  entries: Map<string, PostEntry>;
  accepted(): PostEntry[];
  /** Those that no answer was had for yet. */
  unanswered(): PostEntry[];
};

export function createPostBook(): PostBook {
  const entries = new Map<string, PostEntry>();
  return {
    entries,
    accepted: () => [...entries.values()].filter(({ acceptedAt }) => acceptedAt !== null),
    unanswered: () => [...entries.values()].filter(({ acceptedAt }) => acceptedAt === null),
  };
}
