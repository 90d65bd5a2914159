import type { Database, Statement } from "better-sqlite3";
import { getTableColumns, getTableName } from "drizzle-orm";
import type { SQLiteTable } from "drizzle-orm/sqlite-core";

const prepared = new WeakMap<Database, Map<string, Statement>>();

/** The statement, prepared once for each connection. */
export function statement<Row = unknown>(db: Database, sql: string): Statement<unknown[], Row> {
  let statements = prepared.get(db);
  if (!statements) {
    statements = new Map();
    prepared.set(db, statements);
  }
  let found = statements.get(sql);
  if (!found) {
    found = db.prepare(sql);
    statements.set(sql, found);
  }
  return found as Statement<unknown[], Row>;
}

/** `m.due_ms AS dueMs, …`: all columns of a table under their names in code. */
export function columnsOf(table: SQLiteTable, alias: string): string {
  return Object.entries(getTableColumns(table))
    .map(([name, column]) => `${alias}.${column.name} AS ${name}`)
    .join(", ");
}

/** `UPDATE t SET due_ms = @dueMs, … WHERE key = @key` for all columns but the key. */
export function updateOf(table: SQLiteTable, key: string): string {
  const columns = Object.entries(getTableColumns(table));
  const set = columns.filter(([, c]) => c.name !== key).map(([name, c]) => `${c.name} = @${name}`);
  return `UPDATE ${getTableName(table)} SET ${set.join(", ")} WHERE ${key} = @${key}`;
}
