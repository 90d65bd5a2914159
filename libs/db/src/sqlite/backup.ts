import {
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import Database from "better-sqlite3";
import { StorageBusy, StorageRefused } from "../store.ts";
import { asStorageError, isBusy } from "./errors.ts";
import { damageOf, keyOfSecrets } from "./inspect.ts";
import { refuseOthers, schemaVersion } from "./migrate.ts";
import { statement } from "./statement.ts";

/** Copies of the whole file: out of it while it is in use, and back into its place while it is not. */

/** Pages of one step: between two the event loop turns, and a bar moves. */
const PAGES_AT_ONCE = 500;
/** What belongs to a database file and is of no use without it. */
const LOGS = ["-wal", "-shm"];
const ENDS = ["", ...LOGS, "-journal"];

export type Progress = (done: number, all: number) => void;

/**
 * The file as it is at this moment, as one file of mode 600, while others go on writing. Answers its size. `to` must not
 * be there, and is there only when it is whole, checked and on disk.
 */
export async function backupFile(path: string, to: string, progress: Progress = () => {}): Promise<number> {
  refuseIfThere(to);
  const draft = `${to}.unfinished`;
  const source = openedForReading(path);
  try {
    makeDraft(draft);
    await copyPages(source, draft, progress);
    checkCopy(draft);
    syncFile(draft);
    refuseIfThere(to);
    renameSync(draft, to);
    syncFile(dirname(to));
    return statSync(to).size;
  } catch (error) {
    throw asStorageError(error);
  } finally {
    source.close();
    for (const end of ENDS) rmSync(`${draft}${end}`, { force: true });
  }
}

function refuseIfThere(to: string): void {
  if (existsSync(to)) throw new StorageRefused(`${to} is there already: give a file that is not`);
}

/** Before a byte is in it, nobody else may read it. */
function makeDraft(draft: string): void {
  rmSync(draft, { force: true });
  try {
    closeSync(openSync(draft, "wx", 0o600));
  } catch (error) {
    throw new StorageRefused(`${draft} cannot be made: ${(error as Error).message}`, { cause: error });
  }
}

function openedForReading(path: string): Database.Database {
  if (!existsSync(path)) throw new StorageRefused(`${path} is not there`);
  try {
    const db = new Database(path, { readonly: true, fileMustExist: true });
    refuseOthers(db);
    if (schemaVersion(db) === 0)
      throw new StorageRefused(`${path} is empty: there is no database of this service in it`);
    return db;
  } catch (error) {
    if ((error as { code?: string }).code === "SQLITE_NOTADB")
      throw new StorageRefused(`${path} is not a SQLite database`);
    throw asStorageError(error);
  }
}

/** In one read transaction: without it, SQLite would begin again from the first page whenever another process writes. */
async function copyPages(source: Database.Database, draft: string, progress: Progress): Promise<void> {
  source.exec("BEGIN");
  try {
    statement(source, "SELECT count(*) FROM service").get();
    await source.backup(draft, {
      progress: ({ totalPages, remainingPages }) => {
        progress(totalPages - remainingPages, totalPages);
        return PAGES_AT_ONCE;
      },
    });
  } finally {
    source.exec("COMMIT");
  }
}

/** Makes it one file, without a log beside it. Throws StorageRefused for what is damaged. */
function checkCopy(file: string): void {
  const copy = new Database(file, { fileMustExist: true });
  try {
    copy.pragma("journal_mode = DELETE");
    const [damage] = damageOf(copy, "full");
    if (damage !== undefined)
      throw new StorageRefused(
        `the copy is damaged, and was removed (${damage}): look at the database with \`mailctl doctor\``,
      );
  } finally {
    copy.close();
  }
}

/** Not only in the memory of the machine. */
function syncFile(path: string): void {
  const opened = openSync(path, "r");
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

// ---------------------------------------------------------------- back into its place

/**
 * Puts a backup in the place of a database that nobody has open; `aside` is where what stood there is kept, with its log.
 * Answers the paths that were kept. The copy is made and checked before anything is moved.
 */
export async function restoreFile(
  backup: string,
  path: string,
  aside: string,
  progress: Progress = () => {},
): Promise<string[]> {
  const draft = `${path}.restoring`;
  const source = openedForReading(backup);
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    makeDraft(draft);
    giveToOwner(draft, existsSync(path) ? path : dirname(path));
    await copyPages(source, draft, progress);
    checkCopy(draft);
    syncFile(draft);
    refuseWhileOpen(path);
    const kept = moveAside(path, aside);
    renameSync(draft, path);
    syncFile(dirname(path));
    return kept;
  } catch (error) {
    throw asStorageError(error);
  } finally {
    source.close();
    for (const end of ENDS) rmSync(`${draft}${end}`, { force: true });
  }
}

/** The key without which the secrets in a copy are lost; null: there are none. */
export function keyWantedBy(path: string): string | null {
  const db = openedForReading(path);
  try {
    return keyOfSecrets(db);
  } finally {
    db.close();
  }
}

/** A command that root runs must not take the file away from the service. */
function giveToOwner(file: string, like: string): void {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = statSync(like);
  chownSync(file, uid, gid);
}

/** The log first: a file without its log would be read as it was before, a log without its file is refused by all. */
function moveAside(path: string, aside: string): string[] {
  const kept: string[] = [];
  for (const end of [...LOGS, ""]) {
    if (!existsSync(`${path}${end}`)) continue;
    renameSync(`${path}${end}`, `${aside}${end}`);
    kept.push(join(dirname(path), basename(`${aside}${end}`)));
  }
  return kept;
}

/**
 * Throws StorageBusy when any process has the file open. Asked by another name of the same file: the locks are the file's,
 * but the log is the name's, and would be emptied into the file by closing it.
 */
export function refuseWhileOpen(path: string): void {
  if (!existsSync(path)) return;
  const name = `${path}.probe`;
  rmSync(name, { force: true });
  linkSync(path, name);
  try {
    lockOut(name);
  } catch (error) {
    if (isBusy(error)) throw new StorageBusy(`${path} is open in another process`, { cause: error });
    // What is damaged is not in use, and may be replaced.
    if (asStorageError(error) === error) throw error;
  } finally {
    for (const end of ENDS) rmSync(`${name}${end}`, { force: true });
  }
}

/** In WAL mode whoever has the file open holds a shared lock on it, for as long as it is. */
function lockOut(path: string): void {
  const db = new Database(path, { fileMustExist: true, timeout: 0 });
  try {
    db.pragma("locking_mode = EXCLUSIVE");
    db.exec("BEGIN EXCLUSIVE; ROLLBACK");
  } finally {
    db.close();
  }
}
