import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import { type Keys, StorageRefused, StorageUnavailable, type Store, type TenantStore } from "../store.ts";
import { accountStore, accountsInUse } from "./accounts.ts";
import { createEngine, type Engine } from "./engine.ts";
import { asStorageError, isBusy } from "./errors.ts";
import { prepareFile } from "./file.ts";
import { housekeepingStore } from "./housekeeping.ts";
import { messageStore } from "./messages.ts";
import { migrate, refuseOthers } from "./migrate.ts";
import { processStore } from "./processes.ts";
import { queueStore } from "./queue.ts";
import { reportStore } from "./reports.ts";
import { rotate, scrub, sealFile } from "./reseal.ts";
import { ruleStore } from "./rules.ts";
import { serviceStore } from "./service.ts";
import { statement } from "./statement.ts";
import { tenantServiceStore } from "./suspensions.ts";
import { mustBeLive } from "./tenant-row.ts";
import { tenantDirectory } from "./tenants.ts";
import { createVault } from "./vault.ts";
import type { Writer } from "./writer.ts";

export type OpenOptions = {
  path: string;
  /** `full`: synced before any promise of the store resolves. `normal`: a power cut may take the last commits. */
  synchronous: "full" | "normal";
  /** A file is of the sandbox, or not, from its making on; opened as the other it is refused. */
  sandbox: boolean;
  keys: Keys;
  boot: { bootId: string; monotonicMs: number; wallMs: number };
  /** See WriterOptions; 0 when absent. */
  restMs?: number;
};

/** Until the file is open, SQLite itself waits so long for a lock; after that the waiting is the writer's. */
const LOCK_MS = 20;
/** For the first steps on a file that other processes may be making at the same time. */
const OPEN_TRIES = 600;
/** The reporter checkpoints; this is for when there is none. SQLite's 1,000 would have nearly every commit try its hand at it. */
const AUTOCHECKPOINT_PAGES = 10_000;
/** The log is cut back to this after a checkpoint, should it have grown. */
const WAL_LIMIT_BYTES = 64 * 1024 * 1024;

/**
 * Opens the file, making it where it is not yet, and brings it to this program's schema. Any number of processes may do
 * so at once. Throws StorageRefused (with what to do) or StorageUnavailable.
 */
export async function openStore(options: OpenOptions): Promise<Store & { steadyOffsetMs: number }> {
  try {
    prepareFile(options.path);
  } catch (error) {
    if (error instanceof StorageRefused) throw error;
    throw new StorageUnavailable(`storage.db_path: ${options.path} cannot be made: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const db = await openFile(options.path);
  try {
    await untilUnlocked(() => db.pragma("journal_mode = WAL"));
    db.pragma(`synchronous = ${options.synchronous === "full" ? "FULL" : "NORMAL"}`);
    db.pragma(`wal_autocheckpoint = ${AUTOCHECKPOINT_PAGES}`);
    db.pragma(`journal_size_limit = ${WAL_LIMIT_BYTES}`);
    await untilUnlocked(() => db.transaction(() => prepareTables(db, options)).immediate());
    scrubUnlessBusy(db);
    db.pragma("busy_timeout = 0");
  } catch (error) {
    db.close();
    throw explained(asStorageError(error), options.path);
  }
  return createStore(db, options);
}

/** Looks before it touches: what is refused stays as it was, to the byte. */
async function openFile(path: string): Promise<Database.Database> {
  try {
    await untilUnlocked(() => {
      const reader = new Database(path, { readonly: true, timeout: LOCK_MS });
      try {
        refuseOthers(reader);
      } finally {
        reader.close();
      }
    });
    return new Database(path, { timeout: LOCK_MS });
  } catch (error) {
    throw explained(asStorageError(error), path);
  }
}

/** Whoever finds others at work leaves it to the housekeeping. */
function scrubUnlessBusy(db: Database.Database): void {
  try {
    scrub(db);
  } catch (error) {
    if (!isBusy(error)) throw error;
  }
}

function prepareTables(db: Database.Database, { sandbox, boot, path, keys }: OpenOptions): void {
  migrate(db);
  statement(db, FIRST_ROW).run({ sandbox: sandbox ? 1 : 0 });
  const row = statement<{ sandbox: number; bootId: string; steadySeenMs: number }>(db, SERVICE).get()!;
  if (Boolean(row.sandbox) !== sandbox) {
    throw new StorageRefused(
      sandbox
        ? `${path} has been used without the sandbox, which would swallow its mail: give the sandbox another storage.db_path`
        : `${path} is the sandbox's, whose mail is never delivered: give storage.db_path another file`,
    );
  }
  sealFile(db, keys);
  if (row.bootId === boot.bootId) return;
  // After a boot, steady time goes on from the wall clock, but never back.
  const steadyMs = Math.max(Math.floor(boot.wallMs), row.steadySeenMs);
  statement(db, ANCHOR).run({ bootId: boot.bootId, offset: steadyMs - Math.floor(boot.monotonicMs) });
}

const FIRST_ROW =
  "INSERT INTO service (id, sandbox, rules_seeded, seq, boot_id, steady_offset_ms, steady_seen_ms) " +
  "VALUES (1, @sandbox, 0, 0, '', 0, 0) ON CONFLICT (id) DO NOTHING";
const SERVICE = "SELECT sandbox, boot_id AS bootId, steady_seen_ms AS steadySeenMs FROM service";
const ANCHOR = "UPDATE service SET boot_id = @bootId, steady_offset_ms = @offset";
const OFFSET = "SELECT steady_offset_ms FROM service";

function createStore(
  db: Database.Database,
  { keys, restMs = 0 }: Pick<OpenOptions, "keys" | "restMs">,
): Store & { steadyOffsetMs: number } {
  const engine = createEngine(db, createVault(db, keys), { restMs });
  const version = db.prepare<[], number>("PRAGMA data_version").pluck();
  let seen = version.get();
  return {
    of: (tenant) => tenantStore(engine, tenant),
    tenants: tenantDirectory(engine),
    queue: queueStore(engine),
    accounts: accountsInUse(engine),
    rules: ruleStore(engine),
    processes: processStore(engine),
    service: serviceStore(engine),
    housekeeping: housekeepingStore(engine),
    rotateKey: () => rotate(engine, keys),
    changed() {
      const now = version.get();
      const changed = now !== seen;
      seen = now;
      return changed;
    },
    busy: engine.writer.busy,
    steadyOffsetMs: statement<number>(db, OFFSET).pluck().get()!,
    async close() {
      await engine.writer.idle();
      db.close();
    },
  };
}

function tenantStore(engine: Engine, tenant: string): TenantStore {
  const live = { ...engine, writer: whileLive(engine.writer, tenant) };
  return {
    messages: messageStore(engine, live.writer, tenant),
    accounts: accountStore(live, tenant),
    reports: reportStore(engine, tenant),
    service: tenantServiceStore(live, tenant),
  };
}

/** What is asked for a tenant is not done for one that was deleted since: its mail could never end. */
function whileLive(writer: Writer, tenant: string): Writer {
  return {
    ...writer,
    write: (now, work) =>
      writer.write(now, (tx) => {
        mustBeLive(tx.tenant(tenant));
        return work(tx);
      }),
  };
}

/** Switching to WAL, and recovery after a crash, need the file alone for a moment and do not wait for it themselves. */
async function untilUnlocked(action: () => unknown): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      action();
      return;
    } catch (error) {
      if (!isBusy(error) || tries === OPEN_TRIES) throw error;
      await sleep(LOCK_MS);
    }
  }
}

function explained(error: unknown, path: string): unknown {
  const notADatabase = (error as { cause?: { code?: string } }).cause?.code === "SQLITE_NOTADB";
  return notADatabase
    ? new StorageRefused(`storage.db_path: ${path} is not a SQLite database: it was left untouched`)
    : error;
}
