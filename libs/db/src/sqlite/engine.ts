import type { Database } from "better-sqlite3";
import { type BetterSQLite3Database, drizzle } from "drizzle-orm/better-sqlite3";
import { createWriter, type Writer } from "./writer.ts";

/** An open file: the connection, its single writer, and the query builder for tables that are small and calm. */
export type Engine = { db: Database; writer: Writer; orm: BetterSQLite3Database };

export function createEngine(db: Database): Engine {
  return { db, writer: createWriter(db), orm: drizzle({ client: db }) };
}
