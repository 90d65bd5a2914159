import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { Instant } from "@async-mail/domain/time";
import type { Database } from "better-sqlite3";
import type { Busy } from "../store.ts";
import { asStorageError, isBusy } from "./errors.ts";
import { createTx, type Tx } from "./tx.ts";
import type { Vault } from "./vault.ts";

/** A group stops growing after so long: other processes wait for the same lock. */
const GROUP_MS = 25;
/** How long a verb waits for the lock of other processes before it throws StorageBusy. */
const DEADLINE_MS = 10_000;
/** Between two tries for the lock. SQLite itself does not wait: the event loop runs meanwhile, and mail is sent. */
const RETRY_MS = 1;

/** For works that take no note of the time. */
export const NO_TIME: Instant = { wallMs: 0, steadyMs: 0 };

export type Writer = {
  /**
   * Runs `work` in a transaction begun IMMEDIATE and resolves once it has been synced. Works that are asked for while
   * others wait share one transaction, and so one sync. A work that throws is rolled back alone.
   */
  write<T>(now: Instant, work: (tx: Tx) => T): Promise<T>;
  /** Runs a read, again while the file is locked (a crash's recovery, a checkpoint's end). */
  read<T>(work: () => T, waitMs?: number): Promise<T>;
  busy(): Busy;
  /** Resolves when nothing waits any more. */
  idle(): Promise<void>;
};

export type WriterOptions = {
  deadlineMs?: number;
  /**
   * So long passes between a commit and the next: what is asked for meanwhile shares it, and other processes find the
   * lock free.
   */
  restMs?: number;
  /** Called before each transaction; throws when the file must not be written to. */
  before?: () => void;
  /** Called after each commit; a failure of it is nobody's who waits. */
  after?: () => void;
};

type Job = {
  askedMs: number;
  now: Instant;
  work: (tx: Tx) => unknown;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
};

export function createWriter(
  db: Database,
  vault: Vault,
  { deadlineMs = DEADLINE_MS, restMs = 0, before, after }: WriterOptions = {},
): Writer {
  const waiting: Job[] = [];
  let draining: Promise<void> | null = null;
  let retries = 0;
  let busyMs = 0;
  /** After a group failed: how many of its works are to be tried again, each in a transaction of its own. */
  let alone = 0;

  async function drain(): Promise<void> {
    await nextTurn(); // whoever writes in this turn of the event loop shares the commit
    while (waiting.length > 0) {
      try {
        await untilUnlocked(waiting[0]!.askedMs, () => {
          before?.();
          db.exec("BEGIN IMMEDIATE");
          commitGroup(); // in the same turn: nothing else may find this transaction open
        });
      } catch (error) {
        alone = 0;
        for (const job of isBusy(error) ? takeLate() : waiting.splice(0)) job.reject(asStorageError(error));
        continue;
      }
      // Timers, sockets and beats come before the next group.
      if (restMs > 0) await sleep(restMs);
      else await nextTurn();
    }
  }

  /** In the open transaction: runs as many waiting jobs as fit, commits, and answers them. */
  function commitGroup(): void {
    const start = performance.now();
    const most = alone > 0 ? 1 : Number.POSITIVE_INFINITY;
    const group: Job[] = [];
    const values: unknown[] = [];
    try {
      const tx = createTx(db, vault);
      while (
        waiting.length > 0 &&
        group.length < most &&
        (group.length === 0 || performance.now() - start < GROUP_MS)
      ) {
        const job = waiting.shift()!;
        group.push(job);
        tx.now = job.now;
        values.push(job.work(tx));
      }
      tx.now = latestOf(group);
      tx.flush();
      db.exec("COMMIT");
    } catch (error) {
      if (db.inTransaction) db.exec("ROLLBACK");
      if (group.length > 1) {
        // One work's fault must not touch the others: all go back to the head of the line, each alone.
        waiting.unshift(...group);
        alone = group.length;
      } else {
        alone = Math.max(0, alone - 1);
        group[0]?.reject(asStorageError(error));
      }
      return;
    }
    alone = Math.max(0, alone - group.length);
    group.forEach((job, i) => {
      job.resolve(values[i]);
    });
    afterCommit();
  }

  function afterCommit(): void {
    try {
      after?.();
    } catch (error) {
      // A full or busy file: the next transaction meets it too, and tells it to those who wait for one.
      if (asStorageError(error) === error) throw error;
    }
  }

  /** Those that have waited for the lock too long; whoever came later waits on. */
  function takeLate(): Job[] {
    const late = waiting.findIndex((job) => !isLate(job.askedMs));
    return waiting.splice(0, late === -1 ? waiting.length : late);
  }

  function isLate(askedMs: number): boolean {
    return performance.now() - askedMs > deadlineMs;
  }

  async function untilUnlocked<T>(askedMs: number, action: () => T): Promise<T> {
    for (let waitsSinceMs: number | null = null; ; ) {
      const nowMs = performance.now();
      if (waitsSinceMs !== null) busyMs += nowMs - waitsSinceMs;
      try {
        return action();
      } catch (error) {
        if (!isBusy(error) || isLate(askedMs)) throw error;
        waitsSinceMs = nowMs;
        retries++;
        await sleep(RETRY_MS);
      }
    }
  }

  function start(): void {
    draining ??= drain().finally(() => {
      draining = null;
      if (waiting.length > 0) start();
    });
  }

  return {
    write: <T>(now: Instant, work: (tx: Tx) => T) =>
      new Promise<T>((resolve, reject) => {
        waiting.push({
          askedMs: performance.now(),
          now: wholeMs(now),
          work,
          resolve: resolve as (value: unknown) => void,
          reject,
        });
        start();
      }),
    async read(work, waitMs = deadlineMs) {
      try {
        return await untilUnlocked(performance.now() - deadlineMs + waitMs, work);
      } catch (error) {
        throw asStorageError(error);
      }
    },
    busy: () => ({ retries, ms: busyMs }),
    async idle() {
      while (draining) await draining;
    },
  };
}

function latestOf(group: Job[]): Instant {
  return group.reduce((latest, { now }) => (now.steadyMs > latest.steadyMs ? now : latest), NO_TIME);
}

/** The tables hold whole milliseconds. */
function wholeMs(now: Instant): Instant {
  return { wallMs: Math.floor(now.wallMs), steadyMs: Math.floor(now.steadyMs) };
}
