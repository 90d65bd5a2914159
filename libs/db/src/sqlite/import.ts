import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DEFAULT_ACCOUNT_ID, parseAccount } from "@async-mail/domain/account";
import type { ParseContext } from "@async-mail/domain/message";
import type { Recipient } from "@async-mail/domain/outcome";
import { parseRule } from "@async-mail/domain/schedule";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import { type Instant, toSteadyMs } from "@async-mail/domain/time";
import Database from "better-sqlite3";
import { StorageRefused } from "../store.ts";
import { accountStore } from "./accounts.ts";
import { createEngine, type Engine } from "./engine.ts";
import { asStorageError } from "./errors.ts";
import { countSend, saveTotals } from "./limits.ts";
import { type OpenOptions, openStore } from "./open.ts";
import { sealPayload } from "./payload-row.ts";
import { type Imported, numberOf, type PythonRow, readMessageRow, textOf, timeOf, unsendable } from "./python-row.ts";
import { countedOf, ensureQueue, type Queue } from "./queue-row.ts";
import { statement } from "./statement.ts";
import * as tenantRow from "./tenant-row.ts";
import type { Tx } from "./tx.ts";
import { createVault } from "./vault.ts";

/**
 * A file of the Python service into a new one of ours. The old one is only read. The new one stands under another name
 * until all of it is there, so that an import that was broken off leaves nothing behind.
 */
export type ImportOptions = {
  /** Of the new file. */
  open: OpenOptions;
  parse: Omit<ParseContext, "now">;
  /** The moment of the import, by the new file's clock. */
  now(steadyOffsetMs: number): Instant;
  progress?(done: number, all: number): void;
};

export type ImportReport = {
  accounts: number;
  rules: number;
  /** Sends of the last day, which the limits count. */
  sends: number;
  messages: { waiting: number; deferred: number; sent: number; errors: number };
  /** Final ones that are still to be reported. */
  unreported: number;
  /** Unsent ones by the configuration's account. */
  byDefaultAccount: number;
  /** What is not as it was, in sentences. */
  changes: string[];
};

/** `gAMS`, as in migrate.ts. */
const OUR_APPLICATION_ID = 0x67414d53;
/** Leftovers of its earlier versions, those with whole messages first. */
const LEFTOVERS = ["queued_messages", "deferred_messages", "pending_messages", "delivery_reports"];
const OLD_TABLES = ["messages", "accounts", "send_log", "schedule_rules", ...LEFTOVERS];
const DAY_MS = 86_400_000;
const AT_ONCE = 250;
const BYTES_AT_ONCE = 8 * 1024 * 1024;
/** Under which the account `default` goes on, whose name is the configuration's here. */
const RENAMED = "default-imported";

const TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table'";
const INSERT_RULE =
  "INSERT INTO rules (id, name, enabled, priority, days, start_hour, end_hour, cross_midnight, interval_minutes) " +
  "VALUES (@id, @name, @enabled, @priority, @days, @startHour, @endHour, @crossMidnight, @intervalMinutes)";
const INSERT_MESSAGE =
  "INSERT INTO messages (tenant_id, id, account_id, batch_code, queue, priority, message_id, bytes, content_bytes, recipient_count, on_ambiguous, " +
  "created_ms, updated_ms, expires_ms, first_due_ms, state, due_ms, deferred_ms, attempts, recipients, ended_ms, sent_ms, error_ms, error, seq, report_ms, reported_ms) " +
  `VALUES ('${DEFAULT_TENANT}', @id, @accountId, @batchCode, @queue, @priority, @messageId, @bytes, @contentBytes, @recipientCount, @onAmbiguous, ` +
  "@createdMs, @updatedMs, @expiresMs, @dueMs, @state, @dueMs, @deferredMs, @attempts, @recipients, @endedMs, @sentMs, @errorMs, @error, @seq, @reportMs, @reportedMs)";
const INSERT_PAYLOAD = "INSERT INTO payloads (message, payload, recipients) VALUES (?, ?, ?)";
const INSERT_CONTENT = "INSERT INTO contents (message, position, bytes) VALUES (?, ?, ?)";
const COUNTS =
  "SELECT (SELECT count(*) FROM messages) AS messages, (SELECT count(*) FROM rules) AS rules, (SELECT count(*) FROM accounts) AS accounts";

/** Throws StorageRefused, with what to do, where one file cannot be read or the other is there already. */
export async function importPythonFile(oldPath: string, options: ImportOptions): Promise<ImportReport> {
  const { path } = options.open;
  refuseTarget(oldPath, path);
  const old = openOld(oldPath);
  const draft = `${path}.importing`;
  const removeDraft = () => {
    for (const end of ["", "-wal", "-shm", "-journal"]) rmSync(`${draft}${end}`, { force: true });
  };
  try {
    removeDraft();
    const store = await openStore({ ...options.open, path: draft });
    await store.close();
    const report = await fill(draft, old, options, options.now(store.steadyOffsetMs));
    renameSync(draft, path);
    syncFolder(path);
    return report;
  } catch (error) {
    throw asStorageError(error);
  } finally {
    old.close();
    removeDraft();
  }
}

function refuseTarget(oldPath: string, path: string): void {
  if (resolve(oldPath) === resolve(path))
    throw new StorageRefused(
      `storage.db_path is the old file itself: move that aside with its -wal and -shm, such as to ${path}.python, and import it from there`,
    );
  for (const file of [path, `${path}-wal`])
    if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0)
      throw new StorageRefused(
        `${file} is there already: an import makes a new file, give storage.db_path another name`,
      );
}

/** One state of it, whatever is written to it meanwhile. */
function openOld(path: string): Database.Database {
  if (!existsSync(path)) throw new StorageRefused(`${path} is not there`);
  let old: Database.Database;
  try {
    old = new Database(path, { readonly: true, fileMustExist: true });
  } catch (error) {
    throw asStorageError(error);
  }
  try {
    old.exec("BEGIN");
    refuseUnlessPython(old, path);
    return old;
  } catch (error) {
    old.close();
    if ((error as { code?: string }).code === "SQLITE_NOTADB")
      throw new StorageRefused(`${path} is not a SQLite database`);
    throw asStorageError(error);
  }
}

function refuseUnlessPython(old: Database.Database, path: string): void {
  if (old.pragma("application_id", { simple: true }) === OUR_APPLICATION_ID)
    throw new StorageRefused(`${path} is a database of this service already: \`mailctl restore\` puts it in place`);
  if (!OLD_TABLES.some((table) => has(old, table)))
    throw new StorageRefused(`${path} is no file of the Python mail service: it has none of its tables`);
}

function has(old: Database.Database, table: string): boolean {
  return statement<string>(old, TABLES).pluck().all().includes(table);
}

type Run = {
  engine: Engine;
  old: Database.Database;
  now: Instant;
  parse: ParseContext;
  report: ImportReport;
  /** By the old file's ids: the new id, or why it could not be imported. */
  accounts: Map<string, { id: string } | { fault: string }>;
  step(): void;
};

async function fill(
  draft: string,
  old: Database.Database,
  options: ImportOptions,
  now: Instant,
): Promise<ImportReport> {
  const db = new Database(draft, { fileMustExist: true });
  try {
    db.pragma("synchronous = NORMAL"); // it is synced as a whole, at its end
    const engine = createEngine(db, createVault(db, options.open.keys), {});
    const run = begin(engine, old, options, now);
    await importAccounts(run);
    await importRules(run);
    await importSends(run);
    const messages = await importMessages(run);
    checkCounts(db, run.report, messages);
    await engine.writer.idle();
    db.pragma("journal_mode = DELETE");
    return run.report;
  } finally {
    db.close();
    syncFile(draft);
  }
}

function begin(engine: Engine, old: Database.Database, { parse, progress }: ImportOptions, now: Instant): Run {
  const all = OLD_TABLES.filter((table) => has(old, table)).reduce((sum, table) => sum + countOf(old, table), 0);
  let done = 0;
  return {
    engine,
    old,
    now,
    parse: { ...parse, now: now.wallMs },
    report: {
      accounts: 0,
      rules: 0,
      sends: 0,
      messages: { waiting: 0, deferred: 0, sent: 0, errors: 0 },
      unreported: 0,
      byDefaultAccount: 0,
      changes: [],
    },
    accounts: new Map(),
    step: () => progress?.(++done, all),
  };
}

function countOf(old: Database.Database, table: string): number {
  return old.prepare<[], number>(`SELECT count(*) FROM ${table}`).pluck().get()!;
}

function* rowsOf({ old, step }: Run, table: string, order: string): Generator<PythonRow> {
  if (!has(old, table)) return;
  for (const row of old.prepare<[], PythonRow>(`SELECT rowid AS _rowid, * FROM ${table} ORDER BY ${order}`).iterate()) {
    step();
    yield row;
  }
}

// ---------------------------------------------------------------- accounts and rules

async function importAccounts(run: Run): Promise<void> {
  const { put } = accountStore(run.engine, DEFAULT_TENANT);
  for (const row of rowsOf(run, "accounts", "id")) {
    const oldId = textOf(row.id) ?? `account-${row._rowid}`;
    const id = oldId === DEFAULT_ACCOUNT_ID ? RENAMED : oldId;
    const parsed = parseAccount(toAccount(row, id));
    if (!parsed.ok) {
      const fault = parsed.issues.map(({ loc, msg }) => `${loc.join(".")} ${msg}`).join(", ");
      run.accounts.set(oldId, { fault });
      run.report.changes.push(
        `account ${oldId}: not imported, since its ${fault}; what was unsent by it becomes an error`,
      );
      continue;
    }
    run.accounts.set(oldId, { id });
    if (id !== oldId)
      run.report.changes.push(
        `account ${oldId}: is ${id} now, since ${oldId} is the name of the configuration's account ([smtp])`,
      );
    await put(
      parsed.account,
      { keepPassword: false },
      { ...run.now, wallMs: timeOf(row.created_at) ?? run.now.wallMs },
    );
    run.report.accounts += 1;
  }
}

function toAccount(row: PythonRow, id: string): object {
  const { limit_behavior, use_tls } = row;
  return {
    id,
    host: textOf(row.host) ?? "",
    port: wholeOf(row.port),
    user: textOf(row.user),
    password: textOf(row.password),
    ttl: wholeOf(row.ttl),
    limit_per_minute: wholeOf(row.limit_per_minute),
    limit_per_hour: wholeOf(row.limit_per_hour),
    limit_per_day: wholeOf(row.limit_per_day),
    limit_behavior: limit_behavior === "reject" ? "reject" : "defer",
    use_tls: use_tls === null || use_tls === undefined ? null : Boolean(use_tls),
  };
}

function wholeOf(value: unknown): number | null {
  const number = numberOf(value);
  return number === null ? null : Math.trunc(number);
}

async function importRules(run: Run): Promise<void> {
  const rules = [...rowsOf(run, "schedule_rules", "priority, id")];
  await run.engine.writer.write(run.now, (tx) => {
    // Even if all of them are at fault: those of the configuration are for a service that never had any.
    if (rules.length > 0) tx.service().rulesSeeded = 1;
    for (const row of rules) importRule(run, tx, row);
  });
}

function importRule({ report }: Run, tx: Tx, row: PythonRow): void {
  const days = [...(textOf(row.days) ?? "").matchAll(/\d+/g)].map(([day]) => Number(day));
  const parsed = parseRule({
    name: textOf(row.name),
    enabled: row.enabled !== 0,
    days,
    start_hour: wholeOf(row.start_hour),
    end_hour: wholeOf(row.end_hour),
    cross_midnight: Boolean(row.cross_midnight),
    interval_minutes: wholeOf(row.interval_minutes),
  });
  if (!parsed.ok) {
    const fault = parsed.issues.map(({ loc, msg }) => `${loc.join(".")}: ${msg}`).join(", ");
    report.changes.push(`rule ${row.id} (${textOf(row.name) ?? "without a name"}): not imported, ${fault}`);
    return;
  }
  report.rules += 1;
  const { enabled, crossMidnight, ...rule } = parsed.rule;
  statement(tx.db, INSERT_RULE).run({
    ...rule,
    id: row.id,
    priority: report.rules,
    enabled: Number(enabled),
    crossMidnight: Number(crossMidnight),
    days: JSON.stringify(rule.days),
  });
}

// ---------------------------------------------------------------- what the limits count

/** In the order of their times, as totals grow. */
async function importSends(run: Run): Promise<void> {
  const { now, report } = run;
  const lastDay: { account: string | null; endedMs: number }[] = [];
  for (const row of rowsOf(run, "send_log", "timestamp")) {
    const atMs = timeOf(row.timestamp);
    if (atMs === null || atMs < now.wallMs - DAY_MS) continue;
    // Whole seconds were rounded down: no window may end before it would have.
    const latestMs = Number.isInteger(row.timestamp) ? atMs + 999 : atMs;
    const account = textOf(row.account_id);
    lastDay.push({ account, endedMs: Math.min(now.steadyMs, toSteadyMs(latestMs, now)) });
  }
  for (let from = 0; from < lastDay.length; from += AT_ONCE)
    await run.engine.writer.write(now, (tx) => {
      for (const { account, endedMs } of lastDay.slice(from, from + AT_ONCE))
        count(tx, queueFor(run, tx, account), endedMs);
    });
  report.sends = lastDay.length;
}

function count(tx: Tx, queue: Queue, endedMs: number): void {
  const tenant = tx.tenant(DEFAULT_TENANT);
  countSend(queue, 1, endedMs);
  countSend(tenant, 1, endedMs);
  saveTotals(tx.db, countedOf(queue));
  saveTotals(tx.db, tenantRow.countedOf(tenant));
}

/** Also of an account that is not there any more, as when one is deleted. Null: by the configuration's. */
function queueFor({ accounts }: Run, tx: Tx, oldId: string | null): Queue {
  if (oldId === null) return ensureQueue(tx, DEFAULT_TENANT, DEFAULT_ACCOUNT_ID);
  const known = accounts.get(oldId);
  return ensureQueue(tx, DEFAULT_TENANT, known !== undefined && "id" in known ? known.id : oldId);
}

// ---------------------------------------------------------------- messages

/** Answers how many. */
async function importMessages(run: Run): Promise<number> {
  let imported = 0;
  let batch: Imported[] = [];
  let bytes = 0;
  const flush = async () => {
    const some = batch;
    batch = [];
    bytes = 0;
    await run.engine.writer.write(run.now, (tx) => {
      for (const one of some) insertMessage(run, tx, one);
    });
    imported += some.length;
  };
  for (const row of allMessages(run)) {
    const one = readMessageRow(row, run.parse);
    batch.push(one);
    bytes += one.message?.bytes ?? 0;
    if (batch.length >= AT_ONCE || bytes >= BYTES_AT_ONCE) await flush();
  }
  await flush();
  return imported;
}

function* allMessages(run: Run): Generator<PythonRow> {
  const known = new Set<string>();
  for (const row of rowsOf(run, "messages", "rowid")) {
    const id = textOf(row.id) ?? `imported-${row._rowid}`;
    known.add(id);
    yield { ...row, id };
  }
  for (const table of LEFTOVERS) yield* leftovers(run, table, known);
}

/** What stands in `messages` too is as that says. */
function* leftovers(run: Run, table: string, known: Set<string>): Generator<PythonRow> {
  let taken = 0;
  let ignored = 0;
  for (const row of rowsOf(run, table, "rowid DESC")) {
    const left = toLeftover(table, row);
    if (left === null || known.has(left.id)) {
      ignored += 1;
      continue;
    }
    taken += 1;
    known.add(left.id);
    yield left;
  }
  if (taken + ignored === 0) return;
  run.report.changes.push(
    `${table}, of an earlier version: ${taken} taken over, ${ignored} ignored since they stand elsewhere too, or say nothing`,
  );
}

/** Null: a report of what has not ended. Of the others, none that was sent may be sent again. */
function toLeftover(table: string, row: PythonRow): (PythonRow & { id: string }) | null {
  const id = textOf(row.message_id) ?? textOf(row.id);
  if (id === null) return null;
  const hasEnded = timeOf(row.sent_ts) !== null || timeOf(row.error_ts) !== null;
  if (table === "delivery_reports" && !hasEnded) return null;
  const { message_id: _, ...kept } = row;
  return {
    ...kept,
    id,
    from: row.from ?? row.from_addr,
    to: row.to ?? row.to_addr,
    deferred_ts: row.deferred_ts ?? row.deferred_until,
  };
}

function insertMessage(run: Run, tx: Tx, one: Imported): void {
  const queue = queueFor(run, tx, one.accountId);
  const end = one.end ?? withoutAccount(run, one.accountId);
  const { message } = one;
  const contents = end?.kind === "sent" ? [] : (message?.contents ?? []);
  const deferredMs = end === null ? message!.deferredMs : null;
  const inserted = statement(tx.db, INSERT_MESSAGE).run({
    id: one.id,
    accountId: one.accountId,
    batchCode: message?.batchCode ?? null,
    queue: queue.key,
    priority: one.priority,
    // Under which one was sent, the Python service did not keep.
    messageId: end?.kind === "sent" ? (one.payload.message_id ?? "") : (message?.messageId ?? ""),
    bytes: message?.bytes ?? 0,
    contentBytes: contents.reduce((sum, content) => sum + content.byteLength, 0),
    recipientCount: message?.recipients.length ?? 0,
    onAmbiguous: message?.onAmbiguous ?? null,
    createdMs: one.createdMs,
    updatedMs: one.updatedMs,
    expiresMs: message?.expiresMs ?? null,
    state: end?.kind ?? "waiting",
    dueMs: deferredMs === null ? run.now.steadyMs : Math.ceil(toSteadyMs(deferredMs, run.now)),
    deferredMs,
    attempts: end?.kind === "sent" ? 1 : 0,
    recipients:
      end === null ? null : JSON.stringify((message?.recipients ?? []).map((address) => outcomeOf(address, end))),
    endedMs: end?.atMs ?? null,
    sentMs: end?.kind === "sent" ? end.atMs : null,
    errorMs: end?.kind === "error" ? end.atMs : null,
    error: end?.error ?? null,
    seq: tx.nextSeq(),
    reportMs: end !== null && end.reportedMs === null ? run.now.steadyMs : null,
    reportedMs: end?.reportedMs ?? null,
  });
  const key = Number(inserted.lastInsertRowid);
  statement(tx.db, INSERT_PAYLOAD).run(
    key,
    sealPayload(tx.vault, one.payload, key),
    JSON.stringify(message?.recipients ?? []),
  );
  contents.forEach((content, position) => {
    statement(tx.db, INSERT_CONTENT).run(key, position, content);
  });
  countMessage(run, tx, queue, one, end, deferredMs);
}

function outcomeOf(address: string, { kind, error }: NonNullable<Imported["end"]>): Recipient {
  return kind === "sent" ? { address, outcome: "accepted" } : { address, outcome: "refused", response: error ?? "" };
}

/** Of an account that is not there it would wait for ever; the configuration's may still be configured. */
function withoutAccount({ accounts, now }: Run, accountId: string | null): Imported["end"] {
  if (accountId === null) return null;
  const known = accounts.get(accountId);
  if (known !== undefined && "fault" in known)
    return unsendable(`its account was not imported: ${known.fault}`, now.wallMs);
  return known !== undefined || accountId === DEFAULT_ACCOUNT_ID ? null : unsendable("account not found", now.wallMs);
}

function countMessage(
  { report, accounts }: Run,
  tx: Tx,
  queue: Queue,
  one: Imported,
  end: Imported["end"],
  deferredMs: number | null,
): void {
  if (end === null) {
    queue.pending += 1;
    report.messages[deferredMs === null ? "waiting" : "deferred"] += 1;
    if (one.accountId === null || !accounts.has(one.accountId)) report.byDefaultAccount += 1;
    return;
  }
  report.messages[end.kind === "sent" ? "sent" : "errors"] += 1;
  if (end.error?.startsWith("cannot be sent: "))
    report.changes.push(`message ${one.id}: ${end.error}; reported as an error`);
  if (end.reportedMs !== null) return;
  report.unreported += 1;
  tx.tenant(DEFAULT_TENANT).reportsWaiting += 1;
}

// ---------------------------------------------------------------- the end

/** What was read and what stands in the new file are counted apart. */
function checkCounts(db: Database.Database, report: ImportReport, messages: number): void {
  const found = statement<{ messages: number; rules: number; accounts: number }>(db, COUNTS).get()!;
  const { waiting, deferred, sent, errors } = report.messages;
  const wanted = { messages: waiting + deferred + sent + errors, rules: report.rules, accounts: report.accounts };
  if (messages === wanted.messages && JSON.stringify(found) === JSON.stringify(wanted)) return;
  throw new Error(`the import is not whole: ${JSON.stringify(found)} are there, ${JSON.stringify(wanted)} were read`);
}

function syncFile(path: string): void {
  const opened = openSync(path, "r");
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

function syncFolder(path: string): void {
  syncFile(dirname(path));
}
