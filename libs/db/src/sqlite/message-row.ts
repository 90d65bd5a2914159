import type { Recipient } from "@async-mail/domain/outcome";
import type { messages } from "./schema.ts";
import { statement } from "./statement.ts";
import type { Tx } from "./tx.ts";

export type MessageRow = typeof messages.$inferSelect;

const DELETE = ["messages", "payloads", "contents", "history"].map((table) => {
  return `DELETE FROM ${table} WHERE ${table === "messages" ? "key" : "message"} = ?`;
});

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
