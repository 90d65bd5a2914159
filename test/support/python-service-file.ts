import Database from "better-sqlite3";

/** The tables as the Python service makes them, and those that its earlier versions left behind. */
const SCHEMA = `
  CREATE TABLE accounts (
    id TEXT PRIMARY KEY, host TEXT NOT NULL, port INTEGER NOT NULL, user TEXT, password TEXT, ttl INTEGER DEFAULT 300,
    limit_per_minute INTEGER, limit_per_hour INTEGER, limit_per_day INTEGER, limit_behavior TEXT, use_tls INTEGER,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
  CREATE TABLE schedule_rules (
    id INTEGER PRIMARY KEY, name TEXT, enabled INTEGER, priority INTEGER, days TEXT, start_hour INTEGER,
    end_hour INTEGER, cross_midnight INTEGER, interval_minutes INTEGER);
  CREATE TABLE send_log (account_id TEXT, timestamp INTEGER);
  CREATE TABLE messages (
    id TEXT PRIMARY KEY, account_id TEXT, priority INTEGER NOT NULL DEFAULT 2, payload TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, deferred_ts INTEGER,
    sent_ts INTEGER, error_ts INTEGER, error TEXT, reported_ts INTEGER);
  CREATE TABLE queued_messages (
    id TEXT PRIMARY KEY, account_id TEXT, priority INTEGER, payload TEXT, created_at TIMESTAMP);
  CREATE TABLE pending_messages (id TEXT PRIMARY KEY, to_addr TEXT, subject TEXT, created_at TIMESTAMP);
  CREATE TABLE deferred_messages (id TEXT PRIMARY KEY, account_id TEXT, deferred_until INTEGER);
  CREATE TABLE delivery_reports (
    id INTEGER PRIMARY KEY, message_id TEXT, account_id TEXT, payload TEXT, sent_ts INTEGER, error_ts INTEGER,
    error TEXT, reported_ts INTEGER);
`;

export const PYTHON_SERVICE = {
  user: "user-of-python",
  password: "Password of the Python service",
  /** By the account `usual`, each to be sent once. */
  unsent: ["waiting-1", "waiting-2", "left-queued"],
  /** Deferred by the client's own wish. */
  later: ["later"],
  /** By `limited`: three an hour, of which two were sent. */
  limited: ["limited-1", "limited-2"],
  /** Without an account: by the configuration's. */
  byDefault: ["by-default"],
  /** By the account that is called as the configuration's. */
  byRenamed: ["by-renamed"],
  reported: ["sent-reported", "error-reported"],
  unreportedSent: ["sent-unreported", "left-report"],
  unreportedErrors: ["error-unreported"],
  /** Cannot be sent as they are, each with what its error is to say. */
  unsendable: {
    "bad-address": /invalid to/,
    "bad-json": /invalid payload/,
    "bad-account": /its account was not imported: host/,
    "no-account": /account not found/,
    "left-pending": /missing from/,
  } as Record<string, RegExp>,
  attachment: "the bytes of an attachment",
  rules: ["workdays", "weekend", "night"],
};

const { user, password, attachment } = PYTHON_SERVICE;

/** A file as the Python service may leave it: all its tables, and rows in every state. */
export function makePythonServiceFile(path: string, smtp: { host: string; port: number }): void {
  const db = new Database(path);
  db.exec(SCHEMA);
  const nowS = Math.floor(Date.now() / 1000);
  insertAccounts(db, smtp);
  insertRules(db);
  const log = db.prepare("INSERT INTO send_log (account_id, timestamp) VALUES (?, ?)");
  for (const secondsAgo of [600, 1200]) log.run("limited", nowS - secondsAgo);
  log.run("limited", nowS - 2 * 86_400); // of before the longest window
  log.run("default", nowS - 60);
  insertMessages(db, nowS);
  insertLeftovers(db, nowS);
  db.close();
}

function insertAccounts(db: Database.Database, { host, port }: { host: string; port: number }): void {
  const insert = db.prepare(
    "INSERT INTO accounts (id, host, port, user, password, limit_per_hour, limit_behavior, use_tls, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
  );
  insert.run("usual", host, port, user, password, null, "defer", 0, "2025-03-01 10:00:00");
  insert.run("limited", host, port, null, null, 3, "defer", null, "2025-03-01T10:00:00.250000");
  insert.run("default", host, port, null, null, null, null, 0, "2025-03-01T10:00:00Z");
  insert.run("broken", "not a host name", 25, null, null, null, null, 0, "2025-03-01 10:00:00");
}

function insertRules(db: Database.Database): void {
  const insert = db.prepare("INSERT INTO schedule_rules VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  // Their order is their priority's, not their ids'.
  insert.run(7, "workdays", 1, 1, "0,1,2,3,4", 8, 20, 0, 5);
  insert.run(2, "night", 0, 3, "", 22, 6, 1, 60);
  insert.run(4, "weekend", 1, 2, "5,6", null, null, 0, 30);
}

type Columns = {
  account?: string | null;
  payload?: object | string;
  priority?: number;
  deferred?: number;
  sent?: number;
  error?: number;
  text?: string;
  reported?: number;
};

function insertMessages(db: Database.Database, nowS: number): void {
  const statement = db.prepare(
    "INSERT INTO messages (id, account_id, priority, payload, created_at, deferred_ts, sent_ts, error_ts, error, reported_ts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
  );
  const insert = (id: string, { account = "usual", priority = 2, ...row }: Columns) => {
    const payload =
      typeof row.payload === "string" ? row.payload : JSON.stringify({ ...posted(id, account), ...row.payload });
    const { deferred = null, sent = null, error = null, text = null, reported = null } = row;
    statement.run(id, account, priority, payload, "2025-03-02 11:00:00", deferred, sent, error, text, reported);
  };
  const content = Buffer.from(attachment).toString("base64");
  insert("waiting-1", { payload: { attachments: [{ filename: "a.txt", content }], cc: ["copy@example.org"] } });
  insert("waiting-2", { priority: 0 });
  insert("later", { deferred: nowS + 86_400 });
  for (const id of PYTHON_SERVICE.limited) insert(id, { account: "limited" });
  insert("by-default", { account: null });
  insert("by-renamed", { account: "default" });
  insert("sent-reported", { sent: nowS - 3600.5, reported: nowS - 3500 });
  insert("sent-unreported", { sent: nowS - 100 });
  insert("error-unreported", { error: nowS - 100, text: "550 no such user" });
  insert("error-reported", { error: nowS - 3600, text: "550 no such user", reported: nowS - 3500 });
  insert("bad-address", { payload: { to: "x y" } });
  insert("bad-json", { payload: "{not json" });
  insert("bad-account", { account: "broken" });
  insert("no-account", { account: "gone" });
}

function posted(id: string, account: string | null): object {
  return {
    id,
    account_id: account,
    from: "sender@example.com",
    to: ["recipient@example.org"],
    subject: `Subject of ${id}`,
    body: `Body of ${id}`,
    priority: 2,
    deferred_ts: null,
  };
}

function insertLeftovers(db: Database.Database, nowS: number): void {
  const queued = db.prepare("INSERT INTO queued_messages VALUES (?, 'usual', 1, ?, ?)");
  queued.run("left-queued", JSON.stringify(posted("left-queued", "usual")), nowS - 5000);
  queued.run("sent-reported", JSON.stringify(posted("sent-reported", "usual")), nowS - 5000);
  const pending = db.prepare("INSERT INTO pending_messages VALUES (?, 'recipient@example.org', 'Left', ?)");
  for (const id of ["left-pending", "waiting-1"]) pending.run(id, nowS - 5000);
  db.prepare("INSERT INTO deferred_messages VALUES ('waiting-2', 'usual', ?)").run(nowS + 50);
  const report = db.prepare(
    "INSERT INTO delivery_reports (message_id, account_id, sent_ts, reported_ts) VALUES (?, 'usual', ?, ?)",
  );
  report.run("left-report", nowS - 6000, null);
  report.run("sent-reported", nowS - 6000, nowS - 5900);
}
