import type { Database } from "better-sqlite3";
import { createWriter, type Writer, type WriterOptions } from "./writer.ts";

/** An open file: the connection, and the one way to write to it. */
export type Engine = { db: Database; writer: Writer };

export function createEngine(db: Database, options: WriterOptions): Engine {
  return { db, writer: createWriter(db, options) };
}
