import { statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Instant } from "@async-mail/domain/time";
import type { Database } from "better-sqlite3";
import type { ProcessKind, ServiceCounts, ServiceStore } from "../store.ts";
import { stateOf } from "./accounts.ts";
import type { Engine } from "./engine.ts";
import { leftOf } from "./limits.ts";
import { checkSchema } from "./migrate.ts";
import { countedOf, loadQueue, type Queue } from "./queue-row.ts";
import { loadService } from "./service-row.ts";
import { slowed } from "./slowing.ts";
import { stalled } from "./stalled.ts";
import { statement } from "./statement.ts";
import { closedBy, loadTenant, type TenantRow } from "./tenant-row.ts";
import { NO_TIME } from "./writer.ts";

/** Whoever asks whether the file can be written to wants to know soon, not when it can. */
const CHECK_MS = 500;

const PENDING = "SELECT coalesce(sum(pending), 0) FROM queues";
const QUEUES = "SELECT key FROM queues ORDER BY key";
const PROCESSES = "SELECT kind, count(*) AS count FROM processes GROUP BY kind";
const OLDEST_REPORT =
  "SELECT updated_ms FROM messages WHERE tenant_id = ? AND report_ms IS NOT NULL ORDER BY report_ms LIMIT 1";
const TENANTS = "SELECT tenant FROM tenants ORDER BY key";
const OLDEST_DUE = "SELECT min(due_ms) FROM messages WHERE state = 'waiting' AND suspended = 0 AND queue = ?";

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
    db.exec("UPDATE service SET seq = seq + 1");
  } finally {
    db.exec("ROLLBACK");
  }
}

/** What is deleted counts as long as it owes reports, and is named no more. */
function counts(db: Database, now: Instant): ServiceCounts {
  const all = statement<string>(db, TENANTS).pluck().all();
  const rows = new Map(all.map((tenant) => [tenant, loadTenant(db, tenant)]));
  const queues = statement<number>(db, QUEUES)
    .pluck()
    .all()
    .map((key) => loadQueue(db, key))
    .filter(({ tenantId }) => rows.get(tenantId)?.deletedMs === null);
  const pending = new Map<string, number>();
  for (const queue of queues) pending.set(queue.tenantId, (pending.get(queue.tenantId) ?? 0) + queue.pending);
  const reports = [...rows.values()].map((row) => ({ row, oldestMs: oldestReportMs(db, row, now) }));
  const alive: Record<ProcessKind, number> = { api: 0, dispatcher: 0, reporter: 0 };
  for (const { kind, count } of statement<{ kind: ProcessKind; count: number }>(db, PROCESSES).all())
    alive[kind] = count;
  return {
    accounts: queues.map((queue) => ({
      tenantId: rows.get(queue.tenantId)!.id,
      accountId: queue.accountId,
      pending: queue.pending,
      sent: queue.sent,
      errors: queue.errors,
      deferred: queue.deferred,
      rateLimited: queue.rateLimited,
      held: stateOf(queue, now).state === "held",
      slowed: slowed(queue, now.steadyMs) !== null,
      left: leftOf(db, countedOf(queue), now.steadyMs),
    })),
    tenants: reports
      .filter(({ row }) => row.deletedMs === null)
      .map(({ row, oldestMs }) => ({
        tenantId: row.id,
        pending: pending.get(row.tenant) ?? 0,
        suspended: closedBy(row) !== null,
        reportsWaiting: row.reportsWaiting,
        oldestReportMs: oldestMs,
      })),
    reportsWaiting: sumOf([...rows.values()].map(({ reportsWaiting }) => reportsWaiting)),
    oldestReportMs: Math.max(0, ...reports.map(({ oldestMs }) => oldestMs)),
    oldestDueMs: oldestDueMs(
      db,
      queues.filter(({ tenantId }) => closedBy(rows.get(tenantId)!) === null),
      now,
    ),
    processes: alive,
    walBytes: sizeOf(`${db.name}-wal`),
    databaseBytes: sizeOf(db.name),
    diskFreeBytes: freeBytesAt(dirname(db.name)),
    active: loadService(db).active !== 0,
  };
}

function sumOf(numbers: number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

function oldestReportMs(db: Database, { tenant, reportsWaiting }: TenantRow, now: Instant): number {
  if (reportsWaiting === 0) return 0;
  const oldest = statement<number>(db, OLDEST_REPORT).pluck().get(tenant) ?? now.wallMs;
  return Math.max(0, now.wallMs - oldest);
}

function oldestDueMs(db: Database, queues: Queue[], now: Instant): number {
  const waiting = queues.filter((queue) => queue.pending > 0);
  const due = waiting.map((queue) => statement<number | null>(db, OLDEST_DUE).pluck().get(queue.key) ?? now.steadyMs);
  return Math.max(0, ...due.map((dueMs) => now.steadyMs - dueMs));
}

function freeBytesAt(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
