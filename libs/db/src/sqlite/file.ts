import { closeSync, existsSync, mkdirSync, openSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { StorageRefused } from "../store.ts";

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
  closeSync(openSync(path, "a", 0o600));
}
