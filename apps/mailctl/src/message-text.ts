import type { Body } from "./api.ts";
import { fields, shownSeconds, table } from "./print.ts";

const PRIORITIES = ["immediate", "high", "medium", "low"];

export function messagesTable(messages: Body[]): string {
  const rows = messages.map((one) => [
    one.id,
    one.status,
    one.account_id ?? "default",
    PRIORITIES[one.priority],
    one.created_at,
    toText(one),
    standing(one),
  ]);
  return table(["id", "status", "account", "priority", "accepted", "to", "what there is to say"], rows);
}

function toText({ message }: Body): string {
  const to = [message?.to ?? []].flat();
  return to.length > 1 ? `${to[0]} +${to.length - 1}` : (to[0] ?? "");
}

/** One line: what came of it, or why it waits. */
export function standing(record: Body): string {
  const { status, error, waiting, deferred_reason, deferred_ts, sent_ts, smtp_response } = record;
  if (status === "error") return error;
  if (status === "sent") return `${shownSeconds(sent_ts)} ${smtp_response ?? ""}`.trim();
  const reason = waiting?.reason ?? deferred_reason ?? "";
  const until = waiting?.until ?? (deferred_ts === undefined ? undefined : shownSeconds(deferred_ts));
  return [reason, until && `until ${until}`].filter(Boolean).join(", ");
}

/** All of one message, with its recipients and attempts. */
export function messageText(record: Body): string {
  const { message = {}, recipients, history = [] } = record;
  const parts = [
    fields([
      ["id", record.id],
      ["status", record.status],
      ["why", standing(record)],
      ["account", record.account_id ?? "default"],
      ["batch", record.batch_code],
      ["priority", PRIORITIES[record.priority]],
      ["from", message.from],
      ["to", [message.to ?? []].flat().join(", ")],
      ["subject", message.subject],
      ["message-id", record.message_id],
      ["attempts", record.attempts],
      ["accepted", record.created_at],
      ["updated", record.updated_at],
      ["reported", shownSeconds(record.reported_ts)],
    ]),
  ];
  const told = recipients.map((one: Body) => [one.address, one.outcome, one.response]);
  if (told.length > 0) parts.push(table(["recipient", "outcome", "answer"], told));
  const tried = history.map((one: Body) => [one.at, one.outcome, one.response, one.until]);
  if (tried.length > 0) parts.push(table(["attempt", "outcome", "answer", "next"], tried));
  return parts.join("\n\n");
}
