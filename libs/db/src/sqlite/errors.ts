import { StorageBusy, StorageDamaged, StorageUnavailable } from "../store.ts";

/** SQLite's primary result codes that tell of the disk or the file, not of a bug (https://sqlite.org/rescode.html). */
const UNAVAILABLE = ["FULL", "IOERR", "READONLY", "CANTOPEN", "CORRUPT", "NOTADB", "PERM", "AUTH", "NOLFS", "PROTOCOL"];

function primaryCode(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" && code.startsWith("SQLITE_") ? (code.split("_")[1] ?? null) : null;
}

export function isBusy(error: unknown): boolean {
  const code = primaryCode(error);
  return code === "BUSY" || code === "LOCKED";
}

/** What stands in the file is not what was written (https://sqlite.org/rescode.html#corrupt). */
export function isCorrupt(error: unknown): boolean {
  return primaryCode(error) === "CORRUPT";
}

/** From a look at the file besides SQLite, as when its folder may not be entered any more. */
function isOfFileSystem(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}

/** What a caller of the port may see: faults of storage by their two names, bugs as they are. */
export function asStorageError(error: unknown): unknown {
  if (isBusy(error)) return new StorageBusy("the database file is locked by another program", { cause: error });
  if (isOfFileSystem(error)) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    return new StorageUnavailable(`the database file cannot be reached: ${code} (${syscall})`, { cause: error });
  }
  const code = primaryCode(error);
  if (code === null || !UNAVAILABLE.includes(code)) return error;
  const { message, code: full } = error as { message: string; code: string };
  if (isCorrupt(error))
    return new StorageDamaged(`the database file is damaged: ${message} (${full})`, { cause: error });
  return new StorageUnavailable(`the database file cannot be used: ${message} (${full})`, { cause: error });
}
