import assert from "node:assert/strict";
import type { Claim, ClaimAnswer, ClaimRequest } from "@async-mail/db/store";
import type { Outcome } from "@async-mail/domain/outcome";
import { type TemporaryStore, temporaryStore } from "../../support/database.ts";
import { aCheckedAccount, aCheckedMessage } from "../../support/messages.ts";

export type Claiming = TemporaryStore & {
  /** The number of the dispatcher that claims. */
  dispatcher: number;
  enqueue(count: number, overrides?: Parameters<typeof aCheckedMessage>[0]): Promise<string[]>;
  answer(overrides?: Partial<ClaimRequest>): Promise<ClaimAnswer>;
  claim(overrides?: Partial<ClaimRequest>): Promise<Claim[]>;
  settle(claim: Claim, outcome?: Outcome): ReturnType<TemporaryStore["store"]["queue"]["settle"]>;
};

export const SENT: Outcome = { kind: "sent", code: 250, response: "ok", recipients: [], mailFromSent: true };

/** A store with a dispatcher and the account `a`, ready to be claimed from. */
export async function claiming(account: Parameters<typeof aCheckedAccount>[0] = {}): Promise<Claiming> {
  const file = await temporaryStore();
  const { store, clock } = file;
  const dispatcher = await store.processes.register(
    { kind: "dispatcher", pid: 1, host: "h", version: "1" },
    clock.now(),
  );
  await store.accounts.put(aCheckedAccount({ id: "a", ...account }), { keepPassword: false }, clock.now());
  const answer = (overrides: Partial<ClaimRequest> = {}) => {
    const all = {
      process: dispatcher,
      slots: 10,
      capacity: 200,
      bytes: 1e9,
      held: new Map(),
      maxConnectionsPerAccount: 8,
    };
    return store.queue.claimDue({ ...all, ...overrides }, clock.now());
  };
  return {
    ...file,
    dispatcher,
    answer,
    async enqueue(count, overrides = {}) {
      const messages = Array.from({ length: count }, () => aCheckedMessage({ accountId: "a", ...overrides }));
      await store.messages.enqueue(messages, clock.now());
      return messages.map(({ id }) => id);
    },
    async claim(overrides) {
      const answered = await answer(overrides);
      assert.equal(answered.kind, "claimed");
      return answered.kind === "claimed" ? answered.claims : [];
    },
    settle: (claim, outcome = SENT) => store.queue.settle(claim, outcome, clock.now()),
  };
}
