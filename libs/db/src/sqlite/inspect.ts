import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import { type Keys, StorageRefused, type Store } from "../store.ts";
import { accountStore } from "./accounts.ts";
import { createEngine } from "./engine.ts";
import { asStorageError, isBusy } from "./errors.ts";
import { KNOWN_SCHEMA, refuseOthers, schemaVersion } from "./migrate.ts";
import { processStore } from "./processes.ts";
import { serviceStore } from "./service.ts";
import { loadService } from "./service-row.ts";
import { statement } from "./statement.ts";
import { tenantDirectory } from "./tenants.ts";
import { createVault } from "./vault.ts";

/**
 * The file as an operator looks at it, beside the processes: opened for reading alone, so that nothing in it changes,
 * whatever is found.
 */
export type Inspection = {
  schema: { found: number; known: number };
  /** The key without which its secrets are lost; null: it has none. */
  keyOfSecrets: string | null;
  steadyOffsetMs: number;
  /** What SQLite finds wrong with the file's structure; empty: nothing. Reads all of it. */
  damage(how: "quick" | "full"): string[];
  /** What keeps mail from leaving, besides accounts: suspensions of the service, of tenants, of batches. */
  suspended(): Suspended[];
  /** The accounts that an operator holds, as `tenant/account`: trying their logins would end that. */
  heldByOperator(): Set<string>;
  store: Pick<Store, "processes" | "service"> & {
    accountsOf: (tenant: string) => ReturnType<typeof accountStore>["list"];
  };
  tenants: Pick<Store["tenants"], "list" | "syncStatus">;
  close(): void;
};

export type Suspended =
  | { what: "service" }
  | { what: "tenant"; tenant: string; why: "suspended" | "not active" }
  | { what: "batch"; tenant: string; batch: string };

const ANY_SECRET = [
  "SELECT 1 FROM accounts WHERE password IS NOT NULL LIMIT 1",
  "SELECT 1 FROM tenants WHERE client_secret IS NOT NULL LIMIT 1",
  `SELECT 1 FROM payloads WHERE payload LIKE '%"sealed":"v1:%' LIMIT 1`,
];

const LOCK_MS = 20;
const TRIES = 100;

const OFFSET = "SELECT steady_offset_ms FROM service";
const TENANTS =
  "SELECT id, active, suspended_by AS suspendedBy FROM tenants WHERE deleted_ms IS NULL AND (active = 0 OR suspended_by > 0) ORDER BY id";
const BATCHES =
  "SELECT t.id AS tenant, s.batch_code AS batch FROM suspensions s JOIN tenants t ON t.tenant = s.tenant_id " +
  "WHERE s.by > 0 AND t.deleted_ms IS NULL ORDER BY t.id, s.batch_code";
const HELD = "SELECT tenant_id AS tenant, account_id AS account FROM queues WHERE held_by = 'operator'";

/** Throws StorageRefused where it is no file of ours, or none of this program's schema, and StorageUnavailable. */
export async function inspectFile(path: string, keys: Keys): Promise<Inspection> {
  if (!existsSync(path)) throw new StorageRefused(`${path} is not there`);
  const db = await opened(path);
  try {
    const schema = { found: schemaVersion(db), known: KNOWN_SCHEMA };
    if (schema.found === 0) throw new StorageRefused(`${path} is empty: no process has made its tables yet`);
    if (schema.found < schema.known)
      throw new StorageRefused(
        `the database has schema ${schema.found}, of an earlier release (this one has ${schema.known}): it is brought up to date by the next start of any process`,
      );
    return inspection(db, keys, schema);
  } catch (error) {
    db.close();
    throw asStorageError(error);
  }
}

async function opened(path: string): Promise<Database.Database> {
  for (let tries = 1; ; tries++) {
    try {
      return open(path);
    } catch (error) {
      if (!isBusy(error) || tries === TRIES) throw refusal(path, error);
      await sleep(LOCK_MS);
    }
  }
}

function open(path: string): Database.Database {
  const db = new Database(path, { readonly: true, fileMustExist: true, timeout: LOCK_MS });
  try {
    refuseOthers(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function refusal(path: string, error: unknown): unknown {
  if ((error as { code?: string }).code !== "SQLITE_NOTADB") return asStorageError(error);
  return new StorageRefused(`${path} is not a SQLite database`);
}

function inspection(db: Database.Database, keys: Keys, schema: Inspection["schema"]): Inspection {
  const engine = createEngine(db, createVault(db, keys), {});
  const { list, syncStatus } = tenantDirectory(engine);
  return {
    schema,
    keyOfSecrets: keyOfSecrets(db),
    steadyOffsetMs: statement<number>(db, OFFSET).pluck().get()!,
    damage: (how) => damageOf(db, how),
    suspended: () => suspended(db),
    heldByOperator: () =>
      new Set(
        statement<{ tenant: string; account: string }>(db, HELD)
          .all()
          .map(({ tenant, account }) => `${tenant}/${account}`),
      ),
    store: {
      processes: processStore(engine),
      service: serviceStore(engine),
      accountsOf: (tenant) => accountStore(engine, tenant).list,
    },
    tenants: { list, syncStatus },
    close: () => db.close(),
  };
}

/** `integrity_check` compares the indexes with the tables besides. */
export function damageOf(db: Database.Database, how: "quick" | "full"): string[] {
  const found = db.pragma(how === "quick" ? "quick_check(20)" : "integrity_check(20)") as Record<string, string>[];
  return found.map((row) => Object.values(row)[0]!).filter((text) => text !== "ok");
}

/** Also of a file whose schema is of an earlier release, which sealed nothing. */
export function keyOfSecrets(db: Database.Database): string | null {
  const columns = statement<string>(db, "SELECT name FROM pragma_table_info('service')").pluck().all();
  if (!columns.includes("seal_key")) return null;
  const id = statement<string | null>(db, "SELECT seal_key FROM service").pluck().get() ?? null;
  return ANY_SECRET.some((sql) => statement(db, sql).get() !== undefined) ? id : null;
}

function suspended(db: Database.Database): Suspended[] {
  const all: Suspended[] = loadService(db).active === 0 ? [{ what: "service" }] : [];
  for (const { id, active } of statement<{ id: string; active: number }>(db, TENANTS).all())
    all.push({ what: "tenant", tenant: id, why: active === 0 ? "not active" : "suspended" });
  for (const { tenant, batch } of statement<{ tenant: string; batch: string }>(db, BATCHES).all())
    all.push({ what: "batch", tenant, batch });
  return all;
}
