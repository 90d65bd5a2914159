import assert from "node:assert/strict";
import test from "node:test";
import type { Outcome } from "@async-mail/domain/outcome";
import Database from "better-sqlite3";
import { temporaryStore } from "../../support/database.ts";
import { aCheckedAccount, aCheckedMessage } from "../../support/messages.ts";

/** Tables that grow with what is stored. */
const LARGE = "messages|payloads|contents|history|sends";
/**
 * Indexes that hold only what is about to be worked on, and queries with a LIMIT that read them from one end: to look
 * at whichever is there is no scan of the table.
 */
const WORK_LISTS = ["messages_trim", "messages_unreported", "messages_solo"];
/** Each verb once, so that each statement is prepared; what there is none of is not looked for in vain. */
const LEAST_STATEMENTS = 120;
const LIMITS = { perMinute: 100, perHour: 100, perDay: 100, recipientsPerDay: 100 };

const SENT: Outcome = { kind: "sent", code: 250, response: "ok", recipients: [], mailFromSent: true };
const ERROR: Outcome = { kind: "error", error: "no", recipients: [], mailFromSent: true };
const DEFERRED: Outcome = {
  kind: "deferred",
  class: "retry",
  reason: "retry: later",
  untilMs: 0,
  countsAttempt: true,
  recipients: [],
};
const HELD: Outcome = { kind: "held", reason: "down", mailFromSent: false, throttled: true, end: null };
const GIVEN_BACK: Outcome = { kind: "given_back", reason: "stopping", mailFromSent: false };

test("no statement of the store scans what grows with the queue, or sorts it, with and without statistics", async () => {
  const { statements, path, close } = await everyStatement();
  assert.ok(statements.length >= LEAST_STATEMENTS, `only ${statements.length} statements were seen`);
  const db = new Database(path);
  for (const statistics of ["without", "with"]) {
    if (statistics === "with") db.exec("ANALYZE");
    for (const sql of statements) {
      const steps = planOf(db, sql).filter((step) => isBad(step, sql));
      assert.deepEqual(steps, [], `${statistics} statistics: ${sql}`);
    }
  }
  db.close();
  await close();
});

test("a scan and a sort would be seen", async () => {
  const { path, close } = await temporaryStore();
  const db = new Database(path);
  for (const sql of [
    "SELECT key FROM messages WHERE error = ?",
    "SELECT m.key FROM messages m WHERE m.error = ?",
    "SELECT key FROM messages WHERE queue = ? AND state = 'waiting' ORDER BY message_id",
    "DELETE FROM history WHERE at_ms < ?",
  ])
    assert.ok(
      planOf(db, sql).some((step) => isBad(step, sql)),
      sql,
    );
  db.close();
  await close();
});

function planOf(db: Database.Database, sql: string): string[] {
  const plan = db.prepare<[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql.replaceAll(/[?]|@\w+/g, "1")}`);
  return plan.all().map(({ detail }) => detail);
}

function isBad(step: string, sql: string): boolean {
  // The list of all messages, from a position on: the key is to be looked up too, not read through.
  if (/USING INDEX messages_list \(tenant_id=\? AND priority[>=]\?\)/.test(step)) return true;
  if (/USE TEMP B-TREE/.test(step)) return new RegExp(`\\b(?:FROM|JOIN|UPDATE) (?:${LARGE})\\b`).test(sql);
  const scanned = /^SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?/.exec(step);
  if (scanned === null) return false;
  const isLarge = new RegExp(`\\b(?:${LARGE})(?: AS)? ${scanned[1]}\\b|^(?:${LARGE})$`);
  if (!isLarge.test(sql) && !isLarge.test(scanned[1] ?? "")) return false;
  return !WORK_LISTS.includes(scanned[2] ?? "");
}

/** Goes through all that the store can do, and answers what it prepared for that. */
async function everyStatement() {
  const seen = new Set<string>();
  const { prepare } = Database.prototype as { prepare: (sql: string) => unknown };
  (Database.prototype as { prepare: unknown }).prepare = function (this: Database.Database, sql: string) {
    if (/^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b/i.test(sql) && !sql.includes("pragma_") && !sql.includes("sqlite_"))
      seen.add(sql);
    return prepare.call(this, sql);
  };
  try {
    const file = await temporaryStore();
    await useAll(file);
    return { statements: [...seen], path: file.path, close: file.close };
  } finally {
    (Database.prototype as { prepare: unknown }).prepare = prepare;
  }
}

/** What only tenants and batches need. */
async function useTenants({ store, clock }: Awaited<ReturnType<typeof temporaryStore>>, dispatcher: number) {
  const now = () => clock.now();
  await store.tenants.put("t", { clientBaseUrl: "http://c.example", limits: { ...LIMITS, perDay: 5 } }, "hash", now());
  const of = store.of("t");
  await of.accounts.put(aCheckedAccount({ id: "a" }), { keepPassword: false }, now());
  const batch = () => aCheckedMessage({ id: "m", accountId: "a", batchCode: "b" });
  await of.messages.enqueue([batch()], now(), "replaces");
  await of.messages.enqueue([batch()], now(), "replaces");
  await of.service.suspend("b", "admin", now());
  await store.queue.withheld(dispatcher, [1], now());
  await of.messages.list({ batchCode: "b" }, null, 5, now());
  await of.service.activate("b", "admin", now());
  await of.service.suspend(null, "admin", now());
  await of.service.activate(null, "admin", now());
  await of.service.standing();
  await of.reports.saveCall({ atMs: 1, outcome: "ok", nextMs: null });
  for (const look of [store.tenants.find, store.tenants.byKey, store.tenants.sources]) await look("t");
  await store.tenants.clients();
  await store.tenants.syncStatus(now());
  await store.rotateKey();
  await store.tenants.remove("t", now());
  for (let i = 0; i < 3; i += 1) await store.housekeeping.tidyTenants(now().wallMs + 1, 10, now());
}

async function useAll(file: Awaited<ReturnType<typeof temporaryStore>>): Promise<void> {
  const { store, clock } = file;
  const now = () => clock.now();
  const dispatcher = await store.processes.register({ kind: "dispatcher", pid: 1, host: "h", version: "1" }, now());
  await useTenants(file, dispatcher);
  const limits = LIMITS;
  for (const id of ["a", "b"])
    await store.accounts.put(aCheckedAccount({ id, limits }), { keepPassword: false }, now());
  const ids = Array.from({ length: 12 }, (_, i) => `m${i}`);
  const contents = [Buffer.from("file")];
  const expiresMs = now().wallMs + 50_000;
  await store.messages.enqueue(
    ids.map((id, i) => aCheckedMessage({ id, accountId: "a", contents, ...(i > 10 ? { expiresMs } : {}) })),
    now(),
  );
  const claims = async (slots: number) => {
    await clock.advance(1000);
    const request = {
      process: dispatcher,
      slots,
      capacity: 100,
      bytes: 1e9,
      held: new Map(),
      maxConnectionsPerAccount: 5,
    };
    await store.queue.ready(now());
    await store.queue.nextReadyMs();
    const answer = await store.queue.claimDue(request, now());
    assert.equal(answer.kind, "claimed");
    return answer.kind === "claimed" ? answer.claims : [];
  };
  const [sent, failed, late, back] = await claims(4);
  await store.queue.contents(sent!.messageKey);
  await store.queue.settle(sent!, SENT, now());
  await store.queue.settle(failed!, ERROR, now());
  await store.queue.settle(late!, { ...DEFERRED, untilMs: now().steadyMs + 1e6 } as Outcome, now());
  await store.queue.settle(back!, GIVEN_BACK, now());
  await store.queue.giveBackConnections(dispatcher, sent!.accountKey, 0, now());

  const reports = await store.reports.due(10, now());
  await store.reports.nextDueMs();
  await store.reports.acknowledge(reports.slice(0, 1), now());
  await store.reports.postpone(reports.slice(1, 2), now().steadyMs + 10, now());
  await store.reports.giveUp(0, 10, now());
  await store.reports.saveClient(await store.reports.client());

  await store.messages.enqueue([aCheckedMessage({ id: failed!.id, accountId: "a" })], now());
  await store.reports.newestKey();
  await store.messages.get(ids[0]!, now());
  for (const filter of [{}, { status: "pending" as const }]) await store.messages.list(filter as never, null, 5, now());
  await store.messages.remove(["m9"], now());
  await store.messages.retry(["m8"], now());
  await store.messages.purge({ reportedBeforeMs: 1, endedBeforeMs: 1 });

  for (let i = 0; i < 3; i += 1) {
    await claims(1);
    const lost = await store.processes.register({ kind: "dispatcher", pid: 2, host: "h", version: "1" }, now());
    await store.processes.beat(lost, now());
    await store.processes.strikeOff(lost, 2, now());
  }
  await store.processes.list();
  await store.service.counts(now());
  await store.service.status();
  await store.service.stalled(1, now());
  await store.service.runNow();
  const [held] = await claims(1);
  if (held) await store.queue.settle(held, HELD, now());
  await store.accounts.hold("b", "stop", null, now());
  await store.accounts.release("b", now());
  await store.accounts.list(now());
  const asked = await store.accounts.askVerification("b", now());
  if (asked !== null) await store.accounts.verification(asked);

  await clock.advance(100_000_000);
  await store.housekeeping.expire(1, 10, now());
  await store.messages.purge({ reportedBeforeMs: now().wallMs, endedBeforeMs: now().wallMs }, 2);
  await store.housekeeping.trim(10, now());
  await store.accounts.remove("a", now());
  await store.processes.leave(dispatcher, now());
}
