import { StorageBusy, StorageRefused, StorageUnavailable } from "./store.ts";

type Faults = {
  log: {
    storageBusy(fields: { what: string }): void;
    storageUnavailable(fields: { what: string; reason: string }): void;
    failed(error: unknown, fields: { what: string }): void;
  };
  /** Ends the process: what it may not do to the file now, it may not do later. */
  exit(code: number, reason: string): void;
};

/** A pass that failed is tried again after so long. */
const AFTER_FAULT_MS = 1000;

/** What a process does about a pass that threw: told once, in its own words; answers the wait before the next, in ms. */
export function createFaultHandler({ log, exit }: Faults): (error: unknown, what: string) => number {
  return (error, what) => {
    if (error instanceof StorageRefused) exit(1, error.message);
    else if (error instanceof StorageBusy) log.storageBusy({ what });
    else if (error instanceof StorageUnavailable) log.storageUnavailable({ what, reason: error.message });
    else log.failed(error, { what });
    return AFTER_FAULT_MS;
  };
}
