import type { Claim } from "@async-mail/db/store";

/** The connections that the file reserves for this process, account by account. */
export type Reservations = {
  /** A claim has brought them. */
  taken(claim: Pick<Claim, "accountKey" | "connectionShare" | "reservedConnections">): void;
  /** Connections that may be open to the account from now on. */
  share(accountKey: number): number;
  /**
   * What is reserved beyond `needed`. The shares are lowered with this answer, so that nothing more is opened; what is
   * answered stays surplus until `lowered` says that the file knows.
   */
  surplus(needed: (accountKey: number, share: number) => number): { accountKey: number; keep: number }[];
  lowered(accountKey: number, keep: number): void;
  /** The process has lost its number, and everything with it. */
  forget(): void;
};

type Reservation = { share: number; reserved: number };

export function createReservations(): Reservations {
  const accounts = new Map<number, Reservation>();

  return {
    taken: ({ accountKey, connectionShare: share, reservedConnections: reserved }) =>
      void accounts.set(accountKey, { share, reserved }),
    share: (accountKey) => accounts.get(accountKey)?.share ?? 0,
    surplus(needed) {
      const found = [];
      for (const [accountKey, one] of accounts) {
        const keep = needed(accountKey, one.share);
        one.share = Math.min(one.share, keep);
        if (keep < one.reserved) found.push({ accountKey, keep });
        else if (one.reserved === 0) accounts.delete(accountKey);
      }
      return found;
    },
    lowered(accountKey, keep) {
      const one = accounts.get(accountKey);
      if (one !== undefined) one.reserved = Math.min(one.reserved, keep);
      if (keep === 0) accounts.delete(accountKey);
    },
    forget: () => accounts.clear(),
  };
}
