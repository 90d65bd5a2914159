import type { ReportItem } from "../support/sync-client.ts";

/** One POST of a reporter as the client saw it. Times are wall ms. */
export type SyncCall = {
  number: number;
  /** The start of a reporter: `r1-3`. */
  reporter: string;
  startedAt: number;
  /** When the answer was out, or the connection closed. Null: under way. */
  endedAt: number | null;
  answer: string;
  items: number;
};

/** A state as it was posted. */
export type Posted = {
  call: SyncCall;
  item: ReportItem;
  /** The client acknowledged it: the answer was handed to the network, and names the id in no not_found. */
  acknowledged: boolean;
};

/** What the client itself knows; nothing in it comes from elsewhere. */
export type SyncBook = {
  calls: SyncCall[];
  /** Numbers of the calls that the client acknowledged. */
  acknowledged: Set<number>;
  /** Of one message, as they came. */
  postedOf(id: string): Posted[];
  ids(): string[];
  post(id: string, posted: Posted): void;
  /** Pairs of calls that were under way at the same time. */
  overlaps: { earlier: SyncCall; later: SyncCall }[];
};

export function createSyncBook(): SyncBook {
  const byId = new Map<string, Posted[]>();
  const postedOf = (id: string) => byId.get(id) ?? [];
  return {
    calls: [],
    acknowledged: new Set(),
    postedOf,
    ids: () => [...byId.keys()],
    post: (id, posted) => void byId.set(id, [...postedOf(id), posted]),
    overlaps: [],
  };
}
