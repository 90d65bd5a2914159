import { type MayCrossInClear, passwordsInClear } from "@async-mail/dispatcher/clear-passwords";
import type { Composed } from "@async-mail/dispatcher/composed";
import { openConnection } from "@async-mail/dispatcher/connection";
import type { Hop } from "@async-mail/dispatcher/lane";
import { createRelay, type Relay, type RelayOptions } from "@async-mail/dispatcher/relay";
import { tenantEgress } from "@async-mail/dispatcher/tenant-egress";
import type { Account } from "@async-mail/domain/account";
import type { Reply } from "@async-mail/domain/outcome";
import { aCheckedAccount } from "../../support/messages.ts";

export type TestRelay = Relay & {
  /** Sends one message to the account; share 5, each a message of its own. */
  deliver(account: Account, composed?: Partial<Composed>, share?: number, hop?: Partial<Hop>): Promise<Reply>;
};

/** A relay as main.ts builds it, but for what the test says otherwise. */
export function testRelay(
  given: Partial<RelayOptions> & {
    tlsCa?: string | null;
    mayCrossInClear?: MayCrossInClear;
    stands?: () => boolean;
    dataReplyTimeoutMs?: number;
  } = {},
): TestRelay {
  const egress = tenantEgress({ tenantHosts: [], ownPorts: [], patienceMs: 5000 });
  const { tlsCa = null, mayCrossInClear = passwordsInClear([]), stands = () => true, ...rest } = given;
  const { dataReplyTimeoutMs = 600_000, ...options } = rest;
  const shares = new Map<number, number>();
  const monotonicMs = () => performance.now();
  const relay = createRelay({
    openConnection: (account, signal) =>
      openConnection(
        account,
        {
          ehloName: "client.example.com",
          tlsCa,
          mayCrossInClear,
          tenantEgress: egress,
          dataReplyTimeoutMs,
          monotonicMs,
        },
        signal,
      ),
    share: (accountKey) => shares.get(accountKey) ?? 0,
    maxConnections: 100,
    monotonicMs,
    ...options,
  });
  const keys = new Map<string, number>();
  let key = 1_000_000;
  const nextKey = () => {
    key += 1;
    return key;
  };
  return {
    ...relay,
    deliver: (account, composed, share = 5, hop = {}) => {
      if (!keys.has(account.id)) keys.set(account.id, keys.size + 1);
      const accountKey = keys.get(account.id) as number;
      shares.set(accountKey, share);
      const usual = { accountKey, messageKey: nextKey(), urgency: 2, account, stands, expired: () => false };
      return relay.send({ ...usual, ...hop }, aComposed(composed));
    },
  };
}

export function aComposed(overrides: Partial<Composed> = {}): Composed {
  return {
    sender: "sender@example.com",
    recipients: ["a@example.org"],
    ...textOf(Buffer.from("Subject: Hello\r\n\r\n.A line that begins with a dot\r\n")),
    smtpUtf8: null,
    ...overrides,
  };
}

/** A message without attachments. */
export function textOf(text: Uint8Array): Pick<Composed, "parts" | "size"> {
  return { parts: [text], size: text.length };
}

export function accountAt(port: number, overrides: Partial<Account> = {}): Account {
  return aCheckedAccount({ port, timeoutSeconds: 2, ...overrides });
}
