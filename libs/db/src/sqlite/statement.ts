import type { Database, Statement } from "better-sqlite3";

/** SQL, or what makes it from the tables as they are in this file. A constant: it is the key under which it is prepared. */
export type Sql = string | ((db: Database) => string);

const prepared = new WeakMap<Database, Map<Sql, Statement>>();

/**
 * The statement, prepared once for each connection. Where a LIMIT is a parameter alone, SQLite plans anew at each call; with
 * `+ 0` it does not.
 */
export function statement<Row = unknown>(db: Database, sql: Sql): Statement<unknown[], Row> {
  let statements = prepared.get(db);
  if (!statements) {
    statements = new Map();
    prepared.set(db, statements);
  }
  let found = statements.get(sql);
  if (!found) {
    found = db.prepare(typeof sql === "string" ? sql : sql(db));
    statements.set(sql, found);
  }
  return found as Statement<unknown[], Row>;
}

/** `m.due_ms AS dueMs, …`: all columns of a table under the names that schema.ts gives them. */
export function columnsOf(db: Database, table: string, alias: string): string {
  return namesOf(db, table)
    .map((name) => `${alias}.${name} AS ${camelCase(name)}`)
    .join(", ");
}

/** `due_ms AS dueMs, …`: some columns by the names that schema.ts gives them. Each costs, where rows are read by the thousand. */
export function someColumns(names: readonly string[]): string {
  return names.map((name) => `${snakeCase(name)} AS ${name}`).join(", ");
}

/** `UPDATE t SET due_ms = @dueMs, … WHERE key = @key` for all columns but the key and those that never change. */
export function updateOf(db: Database, table: string, key: string, never: readonly string[] = []): string {
  const set = namesOf(db, table)
    .filter((name) => name !== key && !never.includes(name))
    .map((name) => `${name} = @${camelCase(name)}`);
  return `UPDATE ${table} SET ${set.join(", ")} WHERE ${key} = @${key}`;
}

/** Asked of the file, not of schema.ts: loading the query builder for it would cost each process some 150 MB. */
function namesOf(db: Database, table: string): string[] {
  return db.prepare<[string], string>("SELECT name FROM pragma_table_info(?)").pluck().all(table);
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function camelCase(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
