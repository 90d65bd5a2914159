import type { Account } from "@async-mail/domain/account";
import type { Message } from "@async-mail/domain/message";

let count = 0;

/** A message as a client posts it. */
export function aMessage<T extends object>(overrides?: T) {
  count += 1;
  return {
    id: `message-${count}`,
    from: "sender@example.com",
    to: "recipient@example.org",
    subject: `Subject ${count}`,
    body: `Body ${count}`,
    ...overrides,
  };
}

/** An account as an operator posts it. */
export function anAccount<T extends object>(overrides?: T) {
  return { id: "account-1", host: "127.0.0.1", port: 2525, security: "none", ...overrides };
}

/** A message that passed every check, as `parseMessage` gives it to the store. */
export function aCheckedMessage({ payload, ...overrides }: Partial<Message> = {}): Message {
  count += 1;
  const id = overrides.id ?? `message-${count}`;
  return {
    id,
    accountId: null,
    batchCode: null,
    priority: 2,
    deferredMs: null,
    expiresMs: null,
    onAmbiguous: null,
    messageId: `<${id}@example.com>`,
    recipients: ["recipient@example.org"],
    payload: {
      id,
      from: "sender@example.com",
      to: "recipient@example.org",
      subject: `Subject ${count}`,
      body: `Body ${count}`,
      ...payload,
    },
    contents: [],
    bytes: 200,
    ...overrides,
  };
}

/** An account that passed every check, as `parseAccount` gives it to the store. */
export function aCheckedAccount(overrides: Partial<Account> = {}): Account {
  return {
    id: "account-1",
    host: "127.0.0.1",
    port: 2525,
    user: null,
    password: null,
    useTls: null,
    security: "none",
    ttlSeconds: 300,
    limits: { perMinute: null, perHour: null, perDay: null, recipientsPerDay: null },
    limitBehavior: "defer",
    maxConnections: null,
    batchSize: null,
    timeoutSeconds: null,
    tlsCa: null,
    tlsServername: null,
    onAmbiguous: null,
    ...overrides,
  };
}
