import type { Payload } from "@async-mail/domain/message";
import type { Recipient } from "@async-mail/domain/outcome";
import type { messages } from "./schema.ts";
import { someColumns, statement } from "./statement.ts";
import type { Tx } from "./tx.ts";

export type MessageRow = typeof messages.$inferSelect;

/** What writing the outcome of an attempt needs of a message. */
const ATTEMPT = [
  "key",
  "queue",
  "claim",
  "recipientCount",
  "lostClaims",
  "attempts",
  "recipients",
  "smtpResponse",
  "reportMs",
  "reportedClasses",
] as const satisfies (keyof MessageRow)[];
export type AttemptRow = Pick<MessageRow, (typeof ATTEMPT)[number]>;
export const SELECT_ATTEMPT = `SELECT ${someColumns(ATTEMPT)} FROM messages`;

const DELETE = ["messages", "payloads", "contents", "history"].map((table) => {
  return `DELETE FROM ${table} WHERE ${table === "messages" ? "key" : "message"} = ?`;
});

/** Deletes a message that is not being sent, with all that belongs to it. */
export function deleteMessage(tx: Tx, row: Pick<MessageRow, "key" | "queue" | "state" | "reportMs">): void {
  for (const sql of DELETE) statement(tx.db, sql).run(row.key);
  if (row.state === "waiting" || row.state === "solo") {
    tx.queue(row.queue).pending -= 1;
    tx.leftLine(tx.queue(row.queue));
  }
  if (row.reportMs !== null) tx.tenant(tx.queue(row.queue).tenantId).reportsWaiting -= 1;
}

/** What the row holds is not what was written: of this message nothing can be sent. */
export class DamagedRow extends Error {
  override name = "DamagedRow";
}

/** The recipients with what is known of each; before the first attempt all wait. Throws DamagedRow. */
export function recipientsOf(outcomes: string | null, envelope: string | null): Recipient[] {
  if (outcomes !== null) return parsed<Recipient[]>(outcomes, "recipients", Array.isArray);
  const addresses = parsed<string[]>(envelope, "envelope", Array.isArray);
  return addresses.map((address) => ({ address, outcome: "waiting" as const }));
}

/** For who shows or ends a message, and does not send it: of a damaged row none are known. */
export function knownRecipients(outcomes: string | null, envelope: string | null): Recipient[] {
  return unlessDamaged(() => recipientsOf(outcomes, envelope)) ?? [];
}

/** Throws DamagedRow. */
export function payloadOf(json: string | null): Payload {
  const isObject = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
  return parsed<Payload>(json, "payload", isObject);
}

/** Null: damaged. */
export function unlessDamaged<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof DamagedRow) return null;
    throw error;
  }
}

function parsed<T>(json: string | null, what: string, isRight: (value: unknown) => boolean): T {
  if (json === null) throw new DamagedRow(`its ${what} is missing`);
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new DamagedRow(`its ${what} cannot be read`, { cause: error });
  }
  if (!isRight(value)) throw new DamagedRow(`its ${what} cannot be read`);
  return value as T;
}
