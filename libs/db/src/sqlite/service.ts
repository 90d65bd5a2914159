import { statSync } from "node:fs";
import type { Instant } from "@async-mail/domain/time";
import type { Database } from "better-sqlite3";
import type { ProcessKind, ServiceCounts, ServiceStore } from "../store.ts";
import { stateOf } from "./accounts.ts";
import type { Engine } from "./engine.ts";
import { leftOf } from "./limits.ts";
import { checkSchema } from "./migrate.ts";
import { loadQueue, type Queue } from "./queue-row.ts";
import { loadService } from "./service-row.ts";
import { slowed } from "./slowing.ts";
import { stalled } from "./stalled.ts";
import { statement } from "./statement.ts";
import { NO_TIME } from "./writer.ts";

/** Whoever asks whether the file can be written to wants to know soon, not when it can. */
const CHECK_MS = 500;

const PENDING = "SELECT coalesce(sum(pending), 0) FROM queues";
const QUEUES = "SELECT key FROM queues ORDER BY key";
const PROCESSES = "SELECT kind, count(*) AS count FROM processes GROUP BY kind";
const OLDEST_REPORT = "SELECT updated_ms FROM messages WHERE report_ms IS NOT NULL ORDER BY report_ms LIMIT 1";
const OLDEST_DUE = "SELECT min(due_ms) FROM messages WHERE state = 'waiting' AND queue = ?";

export function serviceStore({ db, writer, inPlace, disk }: Engine): ServiceStore {
  return {
    status: () =>
      writer.read(() => ({
        active: loadService(db).active !== 0,
        pendingMessages: statement<number>(db, PENDING).pluck().get()!,
      })),

    seedActive: (active) =>
      writer.write(NO_TIME, (tx) => {
        tx.service().active ??= active ? 1 : 0;
      }),

    setActive: (active) =>
      writer.write(NO_TIME, (tx) => {
        tx.service().active = active ? 1 : 0;
      }),

    runNow: () =>
      writer.write(NO_TIME, (tx) => {
        tx.service().runNow += 1;
      }),

    runNowCount: () => writer.read(() => loadService(db).runNow),

    checkWritable: () =>
      writer.read(() => {
        inPlace();
        checkWritable(db);
      }, CHECK_MS),

    checkRoom: () => writer.read(() => disk.mustHold(0)),

    counts: (now) => writer.read(() => counts(db, now)),

    stalled: (afterMs, now) => writer.read(() => stalled(db, afterMs, now)),
  };
}

/** Writes and takes it back: nobody is woken. */
function checkWritable(db: Database): void {
  checkSchema(db);
  db.exec("BEGIN IMMEDIATE");
  try {
    db.exec("UPDATE service SET run_now = run_now + 1");
  } finally {
    db.exec("ROLLBACK");
  }
}

function counts(db: Database, now: Instant): ServiceCounts {
  const queues = statement<number>(db, QUEUES)
    .pluck()
    .all()
    .map((key) => loadQueue(db, key));
  const oldestReport = statement<number | undefined>(db, OLDEST_REPORT).pluck().get();
  const alive: Record<ProcessKind, number> = { api: 0, dispatcher: 0, reporter: 0 };
  for (const { kind, count } of statement<{ kind: ProcessKind; count: number }>(db, PROCESSES).all())
    alive[kind] = count;
  return {
    accounts: queues.map((queue) => ({
      accountId: queue.accountId,
      pending: queue.pending,
      sent: queue.sent,
      errors: queue.errors,
      deferred: queue.deferred,
      rateLimited: queue.rateLimited,
      held: stateOf(queue, now).state === "held",
      slowed: slowed(queue, now.steadyMs) !== null,
      left: leftOf(db, queue, now.steadyMs),
    })),
    reportsWaiting: loadService(db).reportsWaiting,
    oldestReportMs: oldestReport === undefined ? 0 : Math.max(0, now.wallMs - oldestReport),
    oldestDueMs: oldestDueMs(db, queues, now),
    processes: alive,
    walBytes: sizeOf(`${db.name}-wal`),
    databaseBytes: sizeOf(db.name),
  };
}

function oldestDueMs(db: Database, queues: Queue[], now: Instant): number {
  const waiting = queues.filter((queue) => queue.pending > 0);
  const due = waiting.map((queue) => statement<number | null>(db, OLDEST_DUE).pluck().get(queue.key) ?? now.steadyMs);
  return Math.max(0, ...due.map((dueMs) => now.steadyMs - dueMs));
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
