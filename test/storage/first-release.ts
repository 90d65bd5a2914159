import { readFileSync } from "node:fs";
import Database from "better-sqlite3";

const SCHEMA = new URL("../../libs/db/migrations/0000_initial.sql", import.meta.url);
/** As that release marked its files. */
const APPLICATION_ID = 0x67414d53;
const USER_VERSION = 1;
/** A boot of long ago, with the wall clock of that time. */
const THEN_MS = 1_760_000_000_000;

/** Ids of what such a file holds. */
export const FIRST_RELEASE = {
  waiting: ["waiting-1", "waiting-2", "waiting-3"],
  /** Sent, and not reported yet. */
  unreported: ["sent-1"],
  /** Sent and reported; kept for the retention. */
  reported: ["sent-2"],
  user: "user-of-then",
  /** What that release kept as it was given. */
  secrets: {
    password: "Password/of then+1",
    deletedPassword: "Password of an account deleted then",
    urlPassword: "login-of-then",
    signature: "signature-of-then",
    deletedSignature: "signature-of-a-message-purged-then",
  },
};

const { password, deletedPassword, urlPassword, signature, deletedSignature } = FIRST_RELEASE.secrets;

/**
 * Makes a file as the first release left it: its schema, an account, and messages in every state, with secrets in them.
 * What is waiting has an attachment from `attachmentsFrom`, if that is given.
 */
export function makeFirstReleaseFile(
  path: string,
  smtp: { host: string; port: number },
  attachmentsFrom?: { host: string },
): void {
  const db = new Database(path);
  db.pragma("journal_mode = WAL");
  for (const sql of readFileSync(SCHEMA, "utf8").split("--> statement-breakpoint")) db.exec(sql);
  db.pragma(`application_id = ${APPLICATION_ID}`);
  db.pragma(`user_version = ${USER_VERSION}`);
  db.exec(
    `INSERT INTO service (id, sandbox, active, rules_seeded, seq, run_now, reports_waiting, boot_id, steady_offset_ms, steady_seen_ms)
       VALUES (1, 0, 1, 1, 1, 0, 1, 'boot-of-then', ${THEN_MS - 1000}, ${THEN_MS});
     INSERT INTO queues (key, tenant_id, account_id, ready_ms, pending, sent)
       VALUES (1, 'default', 'of-then', ${THEN_MS}, ${FIRST_RELEASE.waiting.length}, 2);`,
  );
  db.prepare(
    `INSERT INTO accounts (queue, host, port, user, password, security, ttl_seconds, limit_behavior, created_ms, updated_ms)
       VALUES (1, ?, ?, ?, ?, 'none', 300, 'defer', ${THEN_MS}, ${THEN_MS})`,
  ).run(smtp.host, smtp.port, FIRST_RELEASE.user, password);
  leaveDeleted(db);
  for (const id of FIRST_RELEASE.waiting) insertMessage(db, id, {}, attachmentsFrom?.host);
  const sent = { state: "sent", ended_ms: THEN_MS, sent_ms: THEN_MS, attempts: 1 };
  // Reported just now, or it would be past its retention.
  for (const id of FIRST_RELEASE.reported) insertMessage(db, id, { ...sent, reported_ms: Date.now() }, "files.example");
  for (const id of FIRST_RELEASE.unreported) insertMessage(db, id, { ...sent, report_ms: THEN_MS }, "files.example");
  db.close();
}

/** Pages that are free, with what stood in them. */
function leaveDeleted(db: Database.Database): void {
  db.exec("CREATE TABLE left_over (text)");
  const insert = db.prepare("INSERT INTO left_over VALUES (?)");
  for (let i = 0; i < 200; i++) insert.run(`${deletedPassword} ${deletedSignature} ${"x".repeat(500)}`);
  db.exec("DROP TABLE left_over");
}

function insertMessage(db: Database.Database, id: string, fields: object, attachmentFrom?: string): void {
  const row = {
    tenant_id: "default",
    id,
    account_id: "of-then",
    queue: 1,
    priority: 2,
    message_id: `<${id}@example.com>`,
    bytes: 200,
    content_bytes: 0,
    recipient_count: 1,
    created_ms: THEN_MS,
    updated_ms: THEN_MS,
    first_due_ms: THEN_MS,
    state: "waiting",
    due_ms: THEN_MS,
    seq: 1,
    ...fields,
  };
  const names = Object.keys(row);
  const { lastInsertRowid } = db
    .prepare(`INSERT INTO messages (${names.join(", ")}) VALUES (${names.map((name) => `@${name}`).join(", ")})`)
    .run(row);
  const url = `http://user:${urlPassword}@${attachmentFrom}/${id}.txt?signature=${signature}`;
  const payload = {
    id,
    from: "sender@example.com",
    to: `${id}@example.org`,
    subject: id,
    body: "Of then.",
    ...(attachmentFrom === undefined ? {} : { attachments: [{ url }] }),
  };
  db.prepare("INSERT INTO payloads (message, payload, recipients) VALUES (?, ?, ?)").run(
    lastInsertRowid,
    JSON.stringify(payload),
    JSON.stringify([payload.to]),
  );
}
