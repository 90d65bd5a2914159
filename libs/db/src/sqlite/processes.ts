import type { Database } from "better-sqlite3";
import type { ProcessRecord, ProcessStore } from "../store.ts";
import type { Engine } from "./engine.ts";
import { checkSchema } from "./migrate.ts";
import { takeBack } from "./settle.ts";
import { columnsOf, statement } from "./statement.ts";
import type { Tx } from "./tx.ts";

const LIST = (db: Database) => `SELECT ${columnsOf(db, "processes", "p")} FROM processes p ORDER BY p.process`;
const INSERT =
  "INSERT INTO processes (kind, pid, host, version, started_ms, seen_ms) VALUES (@kind, @pid, @host, @version, @wallMs, @wallMs)";
const DELETE = "DELETE FROM processes WHERE process = ?";
const BEAT = "UPDATE processes SET beat = beat + 1, seen_ms = ? WHERE process = ?";
const BEAT_IS = "SELECT 1 FROM processes WHERE process = ? AND beat = ?";
const RESERVED_FOR = "SELECT queue FROM connections WHERE process = ?";
const FREE_CONNECTIONS = "DELETE FROM connections WHERE process = ?";
const REOPEN_VERIFICATIONS = "UPDATE verifications SET process = NULL WHERE process = ? AND ok IS NULL";

export function processStore({ db, writer }: Engine): ProcessStore {
  return {
    register: (self, now) =>
      writer.write(now, (tx) =>
        Number(statement(tx.db, INSERT).run({ ...self, wallMs: tx.now.wallMs }).lastInsertRowid),
      ),

    beat: (process, now) =>
      writer.write(now, (tx) => {
        checkSchema(tx.db);
        const service = tx.service();
        service.steadySeenMs = Math.max(service.steadySeenMs, tx.now.steadyMs);
        return statement(tx.db, BEAT).run(tx.now.wallMs, process).changes === 1;
      }),

    list: () => writer.read(() => statement<ProcessRecord>(db, LIST).all()),

    strikeOff: (process, beat, now) =>
      writer.write(now, (tx) => {
        if (!statement(tx.db, BEAT_IS).get(process, beat)) return false;
        takeBack(tx, process, "lost");
        forget(tx, process);
        return true;
      }),

    leave: (process, now) =>
      writer.write(now, (tx) => {
        takeBack(tx, process, "given back");
        forget(tx, process);
      }),
  };

  function forget(tx: Tx, process: number): void {
    // The queues it held connections of are worked out anew: others may open them now.
    for (const queue of statement<number>(tx.db, RESERVED_FOR).pluck().all(process)) tx.queue(queue);
    statement(tx.db, FREE_CONNECTIONS).run(process);
    statement(tx.db, REOPEN_VERIFICATIONS).run(process);
    statement(tx.db, DELETE).run(process);
  }
}
