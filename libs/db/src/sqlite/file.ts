import { closeSync, existsSync, mkdirSync, openSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { StorageRefused, StorageUnavailable } from "../store.ts";

/**
 * File systems whose locks or shared memory do not hold over a network, by statfs's f_type (statfs(2)): WAL needs both
 * (https://sqlite.org/wal.html, "Disadvantages").
 */
const NETWORK_FILE_SYSTEMS: Record<number, string> = {
  26985: "NFS",
  20859: "SMB",
  4283649346: "CIFS",
  4266872130: "SMB",
  16914839: "9p",
  12805120: "Ceph",
  1397113167: "AFS",
};

/**
 * From the nearest one that exists, step by step: Node's own recursion turns for ever where a folder cannot be made
 * though its parent is there, as below /proc.
 */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error; // another process was first
  }
}

/** SQLite would delete the log of a database that is empty or not there, and what was committed to it. */
function refuseLogWithoutFile(path: string): void {
  const sizeOf = (file: string) => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (sizeOf(path) > 0 || sizeOf(`${path}-wal`) === 0) return;
  throw new StorageRefused(
    `storage.db_path: ${path} is missing though its log ${path}-wal is there: put the file back, or remove the log too`,
  );
}

/** Makes the folder (mode 700) and the file (600; SQLite gives its log the same), and refuses a network file system. */
export function prepareFile(path: string): void {
  const folder = dirname(path);
  makeFolder(folder);
  // f_type is signed in some builds.
  const network = NETWORK_FILE_SYSTEMS[statfsSync(folder).type >>> 0];
  if (network) {
    throw new StorageRefused(
      `storage.db_path: ${path} is on a network file system (${network}), where SQLite's log is not safe: use a local disk`,
    );
  }
  refuseLogWithoutFile(path);
  closeSync(openSync(path, "a", 0o600));
}

/**
 * A check that the file that was opened is still the one at its path. A file that was deleted can still be written to,
 * and all of that would be lost with the last process that has it open.
 */
export function stillInPlace(path: string): () => void {
  const opened = statSync(path).ino;
  return () => {
    const now = statSync(path, { throwIfNoEntry: false })?.ino;
    if (now === opened) return;
    const cause = new Error(`storage.db_path: ${path}`);
    if (now === undefined)
      throw new StorageUnavailable("the database file is missing: it was moved or deleted while in use; put it back", {
        cause,
      });
    throw new StorageRefused("another database file has taken the place of the one in use: start again to use it", {
      cause,
    });
  };
}
