import { join } from "node:path";
import { openStore } from "@async-mail/db/sqlite/open";
import type { Store } from "@async-mail/db/store";
import { START_MS, type TestClock, testClock } from "./clock.ts";
import { temporaryFolder } from "./temporary-folder.ts";

export type TemporaryStore = {
  store: Store & { steadyOffsetMs: number };
  clock: TestClock;
  /** The database file. */
  path: string;
  /** Another connection to the same file, as another process would have. Closed by its own close(). */
  again(): Promise<Store & { steadyOffsetMs: number }>;
  close(): Promise<void>;
};

/** A real store in a folder of its own, and the clock whose `now()` is to be given to its verbs. */
export async function temporaryStore(folder = temporaryFolder()): Promise<TemporaryStore> {
  const path = join(folder, "mail.db");
  const clock = testClock();
  const boot = () => ({ bootId: "test-boot", monotonicMs: clock.monotonicMs(), wallMs: START_MS });
  const open = () => openStore({ path, synchronous: "full", sandbox: false, boot: boot() });
  const store = await open();
  return { store, clock, path, again: open, close: () => store.close() };
}
