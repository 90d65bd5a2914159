import { StorageBusy, StorageRefused, StorageUnavailable } from "@async-mail/db/store";
import { KeyFileError } from "@async-mail/runtime/key-file";
import { Refused } from "./faults.ts";

/** Their sentence says all that an operator needs. */
const TOLD = [StorageBusy, StorageRefused, StorageUnavailable, KeyFileError];

/** Runs what works on the file itself: what the file or the disk refuses is the command's refusal. */
export async function onTheFile<T>(action: () => Promise<T> | T): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (TOLD.some((fault) => error instanceof fault)) throw new Refused((error as Error).message, { cause: error });
    if (error instanceof Error && "syscall" in error) throw new Refused(error.message);
    throw error;
  }
}
