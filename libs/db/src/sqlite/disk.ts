import { statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { StorageUnavailable } from "../store.ts";

/**
 * Room on the disk. A file whose disk is full to the last byte is stuck for good: what was sent cannot be noted, and the
 * log cannot be moved into the file, which has to grow for that. So new messages are refused before that, and the log
 * is kept small against what is free: all that is in the file already can then be sent, noted and reported.
 */
export type Disk = {
  /** Throws StorageUnavailable where storing so much would leave too little for all the rest. */
  mustHold(bytes: number): void;
  /** The log is large against what is free: it is time for a checkpoint, whoever writes. */
  isTight(): boolean;
};

/** Kept free for settling and reporting: so much, or this part of a small disk. */
const RESERVE_BYTES = 16 * 1024 * 1024;
const RESERVE_SHARE = 0.1;
/** A message takes its room twice: in the log, and in the file. */
const COPIES = 2;
/** A log of at most this part of what is free can always be moved into the file. */
const LOG_SHARE = 0.25;
/** No log is larger; with more than that free there is nothing to look at. */
const LARGEST_LOG_BYTES = 256 * 1024 * 1024;

export function createDisk(path: string): Disk {
  const folder = dirname(path);

  function logBytes(): number {
    return statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }

  return {
    mustHold(bytes) {
      const { bavail, blocks, bsize } = statfsSync(folder);
      const freeBytes = bavail * bsize;
      const reserve = Math.min(RESERVE_BYTES, blocks * bsize * RESERVE_SHARE);
      // What the log holds may need as much in the file; a larger log has been moved there, see isTight.
      const wanted = COPIES * bytes + reserve + freeBytes * LOG_SHARE;
      if (freeBytes >= wanted) return;
      throw new StorageUnavailable(
        `the disk of the database is nearly full: ${megabytes(freeBytes)} are free, ${megabytes(wanted)} are needed to go on safely`,
      );
    },
    isTight() {
      const { bavail, bsize } = statfsSync(folder);
      const freeBytes = bavail * bsize;
      return freeBytes < LARGEST_LOG_BYTES / LOG_SHARE && logBytes() > freeBytes * LOG_SHARE;
    },
  };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
