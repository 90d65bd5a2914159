import type { Database } from "better-sqlite3";
import { createDisk, type Disk } from "./disk.ts";
import { stillInPlace } from "./file.ts";
import type { Vault } from "./vault.ts";
import { createWriter, type Writer, type WriterOptions } from "./writer.ts";

/** An open file: the connection, the one way to write to it, and what is asked of the file itself. */
export type Engine = {
  db: Database;
  vault: Vault;
  writer: Writer;
  disk: Disk;
  /** Throws when the file at its path is not the one that was opened. */
  inPlace(): void;
};

export function createEngine(db: Database, vault: Vault, { restMs }: Pick<WriterOptions, "restMs">): Engine {
  const disk = createDisk(db.name);
  const inPlace = stillInPlace(db.name);
  const checkpointIfTight = () => {
    // And cut back, where nobody reads: otherwise it would count as large for ever.
    if (disk.isTight()) db.pragma("wal_checkpoint(TRUNCATE)");
  };
  const writer = createWriter(db, vault, { before: inPlace, after: checkpointIfTight, ...(restMs ? { restMs } : {}) });
  return { db, vault, writer, disk, inPlace };
}
