import type { Database } from "better-sqlite3";
import { columnsOf, statement, updateOf } from "./statement.ts";

/** The one row of `service`, as SQLite gives it: booleans are 0 and 1. */
export type ServiceRow = {
  id: number;
  sandbox: number;
  active: number | null;
  rulesSeeded: number;
  seq: number;
  urgentLast: number;
  soloProcess: number | null;
  sealKey: string | null;
  scrub: number;
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

/** Writes it if it changed. What happened at a moment must not be in the future after a boot whose wall clock went back. */
export function saveService(db: Database, row: ServiceRow, steadyMs: number): void {
  if (asRead.get(row) === JSON.stringify(row)) return;
  statement(db, UPDATE).run({ ...row, steadySeenMs: Math.max(row.steadySeenMs, steadyMs) });
}
