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

/** A disk with so much free, as of a moment ago, is not asked again: each request would wait for the answer. */
const PLENTY_BYTES = 4 * 1024 * 1024 * 1024;
const MOMENT_MS = 100;

export function createDisk(path: string): Disk {
  const folder = dirname(path);

  let read = { atMs: Number.NEGATIVE_INFINITY, freeBytes: 0, allBytes: 0 };

  /** Asked anew, but where there was plenty a moment ago: nothing fills that so soon. */
  function room(): { freeBytes: number; allBytes: number } {
    const nowMs = performance.now();
    if (read.freeBytes >= PLENTY_BYTES && nowMs - read.atMs < MOMENT_MS) return read;
    const { bavail, blocks, bsize } = statfsSync(folder);
    read = { atMs: nowMs, freeBytes: bavail * bsize, allBytes: blocks * bsize };
    return read;
  }

  function logBytes(): number {
    return statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }

  return {
    mustHold(bytes) {
      const { freeBytes, allBytes } = room();
      const reserve = Math.min(RESERVE_BYTES, allBytes * RESERVE_SHARE);
      // What the log holds may need as much in the file; a larger log has been moved there, see isTight.
      const wanted = COPIES * bytes + reserve + freeBytes * LOG_SHARE;
      if (freeBytes >= wanted) return;
      throw new StorageUnavailable(
        `the disk of the database is nearly full: ${megabytes(freeBytes)} are free, ${megabytes(wanted)} are needed to go on safely`,
      );
    },
    isTight() {
      const { freeBytes } = room();
      return freeBytes < LARGEST_LOG_BYTES / LOG_SHARE && logBytes() > freeBytes * LOG_SHARE;
    },
  };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
