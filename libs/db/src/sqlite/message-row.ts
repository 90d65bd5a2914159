import type { Recipient } from "@async-mail/domain/outcome";
import type { Queue } from "./queue-row.ts";
import type { messages } from "./schema.ts";
import { statement } from "./statement.ts";
import type { Tx } from "./tx.ts";

export type MessageRow = typeof messages.$inferSelect;

const END =
  "UPDATE messages SET state = 'error', process = NULL, error_ms = @wallMs, ended_ms = @wallMs, error = @error, updated_ms = @wallMs, " +
  "seq = @seq, report_ms = @steadyMs, report_tries = 0, reported_ms = NULL, deferred_ms = NULL, deferred_reason = NULL WHERE key = @key";
const DELETE = ["messages", "payloads", "contents", "history"].map((table) => {
  return `DELETE FROM ${table} WHERE ${table === "messages" ? "key" : "message"} = ?`;
});

/** Ends a message that waits, without an attempt: expired, account deleted, over the limit. */
export function endWaiting(tx: Tx, row: { key: number; reportMs: number | null }, queue: Queue, error: string): void {
  statement(tx.db, END).run({ key: row.key, error, seq: tx.nextSeq(), ...tx.now });
  queue.pending -= 1;
  queue.errors += 1;
  if (row.reportMs === null) tx.service().reportsWaiting += 1;
}

/** Deletes a message that is not being sent, with all that belongs to it. */
export function deleteMessage(tx: Tx, row: Pick<MessageRow, "key" | "queue" | "state" | "reportMs">): void {
  for (const sql of DELETE) statement(tx.db, sql).run(row.key);
  if (row.state === "waiting" || row.state === "solo") tx.queue(row.queue).pending -= 1;
  if (row.reportMs !== null) tx.service().reportsWaiting -= 1;
}

/** The recipients with what is known of each; before the first attempt all wait. */
export function recipientsOf(outcomes: string | null, envelope: string): Recipient[] {
  if (outcomes !== null) return JSON.parse(outcomes);
  return (JSON.parse(envelope) as string[]).map((address) => ({ address, outcome: "waiting" as const }));
}
