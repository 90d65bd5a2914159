import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { openStore } from "@async-mail/db/sqlite/open";
import type { Keys, Store, TenantStore } from "@async-mail/db/store";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import { createKeyRing } from "@async-mail/runtime/key-ring";
import { START_MS, type TestClock, testClock } from "./clock.ts";
import { temporaryFolder } from "./temporary-folder.ts";

type Boot = Parameters<typeof openStore>[0]["boot"];
type Opened = Store & { steadyOffsetMs: number };

/** A store with the verbs of the tenant `default` beside its own, for tests that know no other. */
export type StoreOfDefault = Opened & {
  [Name in keyof TenantStore]: TenantStore[Name] & (Name extends keyof Store ? Store[Name] : unknown);
};

export type TemporaryStore = {
  store: StoreOfDefault;
  clock: TestClock;
  /** The database file. */
  path: string;
  /** Another connection to the same file, as another process would have. Closed by its own close(). */
  again(): Promise<StoreOfDefault>;
  close(): Promise<void>;
};

/** A real store in a folder of its own, and the clock whose `now()` is to be given to its verbs. */
export async function temporaryStore(folder = temporaryFolder()): Promise<TemporaryStore> {
  const path = join(folder, "mail.db");
  const clock = testClock();
  const boot = () => ({ bootId: "test-boot", monotonicMs: clock.monotonicMs(), wallMs: START_MS });
  const open = () => openedAt(path, boot());
  const store = await open();
  return { store, clock, path, again: open, close: () => store.close() };
}

function ofDefault(store: Opened): StoreOfDefault {
  const { messages, accounts, reports, service } = store.of(DEFAULT_TENANT);
  return {
    ...store,
    messages,
    reports,
    accounts: { ...store.accounts, ...accounts },
    service: { ...store.service, ...service },
  };
}

/** The file as one process more has it open. */
export async function openedAt(path: string, boot: Boot): Promise<StoreOfDefault> {
  return ofDefault(await openStore({ path, synchronous: "full", sandbox: false, keys: keysBeside(path), boot }));
}

/** As the processes make them beside a database. */
export function keysBeside(dbPath: string, configured: string[] | null = null): Keys {
  return createKeyRing({ configured, dbPath, randomKey: () => randomBytes(32) });
}
