/**
 * The least that keeping a message can cost: a bare loop of better-sqlite3 that stores rows like ours, with the indexes of
 * our file, in transactions of so many. Prints how many seconds it took; what the rows hold was worked out before.
 *
 *     node bench/rivals/sqlite-loop.ts --messages 50000 --batch 500 --synchronous full
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import Database from "better-sqlite3";
import { openedAt } from "../../test/support/database.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { mail } from "../support/mail.ts";

const { values: options } = parseArgs({
  options: {
    messages: { type: "string", default: "50000" },
    batch: { type: "string", default: "500" },
    synchronous: { type: "string", default: "full" },
  },
});
const MESSAGES = Number(options.messages);
const BATCH = Number(options.batch);
const WARM_UP = 4000;

const path = join(temporaryFolder(), "mail.db");
const boot = { bootId: "bench", monotonicMs: 0, wallMs: Date.now() };
await (await openedAt(path, boot)).close(); // makes the tables
const db = new Database(path);
db.pragma(`synchronous = ${options.synchronous}`);
db.pragma("wal_autocheckpoint = 10000");
const now = Date.now();
const message = db.prepare(
  "INSERT INTO messages (tenant_id, id, queue, priority, message_id, bytes, content_bytes, recipient_count, created_ms, updated_ms, " +
    "first_due_ms, state, due_ms, seq) VALUES ('default', ?, 1, 2, ?, ?, 0, 1, ?, ?, ?, 'waiting', ?, ?)",
);
const payload = db.prepare("INSERT INTO payloads (message, payload, recipients) VALUES (?, ?, ?)");
const rows = Array.from({ length: WARM_UP + MESSAGES }, (_, i) => {
  const id = `bare-${i}`;
  const json = JSON.stringify({ id, ...mail(id) });
  return {
    id,
    json,
    recipients: JSON.stringify([`${id}@example.org`]),
    messageId: `<${id}.0123456789abcdef@example.com>`,
  };
});

store(0, WARM_UP);
const startedMs = performance.now();
store(WARM_UP, WARM_UP + MESSAGES);
console.log(JSON.stringify({ seconds: (performance.now() - startedMs) / 1000 }));

function store(first: number, end: number): void {
  for (let from = first; from < end; from += BATCH) {
    db.exec("BEGIN IMMEDIATE");
    for (const { id, json, recipients, messageId } of rows.slice(from, Math.min(from + BATCH, end))) {
      const { lastInsertRowid } = message.run(id, messageId, json.length, now, now, now, now, from);
      payload.run(lastInsertRowid, json, recipients);
    }
    db.exec("COMMIT");
  }
}
