import type { Account } from "@async-mail/domain/account";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import type { Database } from "better-sqlite3";
import { type Keys, StorageRefused } from "../store.ts";
import type { Queue } from "./queue-row.ts";
import { KeyUnknown, open, seal } from "./sealing.ts";
import { statement } from "./statement.ts";

/** Opens and closes the secrets that stand in the file. */
export type Vault = {
  /** With the key that the file names. `context` names the row and column: a sealed text opens nowhere else. */
  seal(text: string, context: string): string;
  /** Throws NotOpened for what was changed, and StorageRefused where its key is not to be had. */
  open(sealed: string, context: string): string;
};

const SEAL_KEY = "SELECT seal_key FROM service";

/** Opened once: the same few are asked for again and again. */
const MOST_OPENED = 5000;

export function createVault(db: Database, keys: Keys): Vault {
  const opened = new Map<string, string>();

  return {
    seal(text, context) {
      const id = statement<string>(db, SEAL_KEY).pluck().get()!;
      const key = keys.find(id);
      if (key === null) throw keyMissing(id, keys);
      return seal({ id, key }, text, context);
    },
    open(sealed, context) {
      const name = `${sealed} ${context}`;
      let text = opened.get(name);
      if (text === undefined) {
        text = unsealed(keys, sealed, context);
        if (opened.size >= MOST_OPENED) opened.clear();
        opened.set(name, text);
      }
      return text;
    },
  };
}

function unsealed(keys: Keys, sealed: string, context: string): string {
  try {
    return open(keys.find, sealed, context);
  } catch (error) {
    throw error instanceof KeyUnknown ? keyMissing(error.keyId, keys) : error;
  }
}

/** What a process can do about it is nothing, and what it would do without the key is harm. */
export function keyMissing(id: string, { file }: Pick<Keys, "file">): StorageRefused {
  return new StorageRefused(
    `secrets in the database are encrypted with the key ${id}, which is neither in ${file} nor in storage.encryption_key: put it back there`,
  );
}

/** The queue's account with its password. */
export function openedAccount(vault: Vault, queue: Queue): Account {
  const { sealedPassword, ...account } = queue.account!;
  const password = sealedPassword === null ? null : vault.open(sealedPassword, passwordOf(queue.key));
  return { ...account, password, ...(queue.tenantId !== DEFAULT_TENANT && { restricted: true }) };
}

export function passwordOf(queueKey: number): string {
  return `accounts.password of queue ${queueKey}`;
}

export function clientSecretOf(tenant: string): string {
  return `tenants.client_secret of ${tenant}`;
}
