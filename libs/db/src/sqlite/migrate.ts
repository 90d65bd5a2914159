import { fileURLToPath } from "node:url";
import type { Database } from "better-sqlite3";
import { readMigrationFiles } from "drizzle-orm/migrator";
import { StorageRefused } from "../store.ts";
import { statement } from "./statement.ts";

const FOLDER = fileURLToPath(new URL("../../migrations", import.meta.url));
const MIGRATIONS = readMigrationFiles({ migrationsFolder: FOLDER });

/** The schema of this program: the number of its steps. */
export const KNOWN_SCHEMA = MIGRATIONS.length;

/** "gAMS": marks a file as this service's (https://sqlite.org/pragma.html#pragma_application_id). */
const APPLICATION_ID = 0x67414d53;
/** Tables that only the Python service had (its later versions, and leftovers of earlier ones). */
const OLD_TABLES = ["pending_messages", "deferred_messages", "queued_messages", "delivery_reports", "send_log"];

/**
 * Brings the file to this program's schema, in the transaction that the caller has begun IMMEDIATE: drizzle's own
 * migrator reads how far it is outside of one, so that two processes could both apply a step. `user_version` is the
 * number of steps applied.
 */
export function migrate(db: Database): void {
  const version = schemaVersion(db);
  refuseOthers(db);
  for (const step of MIGRATIONS.slice(version)) {
    for (const sql of step.sql) db.exec(sql);
  }
  if (version < MIGRATIONS.length) {
    db.pragma(`user_version = ${MIGRATIONS.length}`);
    db.pragma(`application_id = ${APPLICATION_ID}`);
  }
}

/** Throws StorageRefused when the file is another program's, or a newer one's of ours. Reads only. */
export function refuseOthers(db: Database): void {
  // One transaction, one state of the file: between the two reads, another process may make its tables.
  db.transaction(() => {
    if (schemaVersion(db) === 0) refuseForeignTables(db);
    checkSchema(db);
  })();
}

/** Throws StorageRefused when a newer program has changed the file's schema. Cheap enough for every claim. */
export function checkSchema(db: Database): void {
  const version = schemaVersion(db);
  if (version <= MIGRATIONS.length) return;
  throw new StorageRefused(
    `the database has schema ${version}, this program knows ${MIGRATIONS.length}: it is used by a newer version, start that one`,
  );
}

export function schemaVersion(db: Database): number {
  return statement<number>(db, "PRAGMA user_version").pluck().get()!;
}

function refuseForeignTables(db: Database): void {
  const tables = statement<string>(
    db,
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
  )
    .pluck()
    .all();
  if (tables.length === 0) return;
  if (tables.some((table) => OLD_TABLES.includes(table))) {
    throw new StorageRefused(
      "the database belongs to the Python mail service: it was left untouched; import it into a new file with `mailctl import`",
    );
  }
  throw new StorageRefused(
    `the database belongs to another program (it has the table "${tables[0]}"): it was left untouched`,
  );
}
