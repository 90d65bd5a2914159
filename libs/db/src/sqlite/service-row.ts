import type { Database } from "better-sqlite3";
import { columnsOf, statement, updateOf } from "./statement.ts";

/** The one row of `service`, as SQLite gives it: booleans are 0 and 1. */
export type ServiceRow = {
  id: number;
  sandbox: number;
  active: number | null;
  rulesSeeded: number;
  seq: number;
  runNow: number;
  reportsWaiting: number;
  urgentLast: number;
  soloProcess: number | null;
  bootId: string;
  steadyOffsetMs: number;
  steadySeenMs: number;
};

const SELECT = (db: Database) => `SELECT ${columnsOf(db, "service", "s")} FROM service s`;
const UPDATE = (db: Database) => updateOf(db, "service", "id");

/** As it was read, to write only what changed. */
const asRead = new WeakMap<ServiceRow, string>();

export function loadService(db: Database): ServiceRow {
  const row = statement<ServiceRow>(db, SELECT).get()!;
  asRead.set(row, JSON.stringify(row));
  return row;
}

export function saveService(db: Database, row: ServiceRow): void {
  if (asRead.get(row) !== JSON.stringify(row)) statement(db, UPDATE).run(row);
}
