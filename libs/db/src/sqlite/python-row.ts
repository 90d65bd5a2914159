import { type Message, type ParseContext, type Payload, parseMessage, parsePriority } from "@async-mail/domain/message";
import type { Priority } from "@async-mail/domain/priority";

/** A row as the Python service left it: any column may be missing, and hold anything. */
export type PythonRow = Record<string, unknown>;

/** One of its messages, as it is to stand in the new file. Times are wall ms. */
export type Imported = {
  id: string;
  /** As it was posted; null: none. */
  accountId: string | null;
  priority: Priority;
  /** Null: its payload passes no check. */
  message: Message | null;
  /** What there is to show of it. */
  payload: Payload;
  end: { kind: "sent" | "error"; atMs: number; error: string | null; reportedMs: number | null } | null;
  createdMs: number;
  updatedMs: number;
};

/** Unsent ones are checked as if they were posted now; what does not pass is an error that says why. */
export function readMessageRow(row: PythonRow, context: ParseContext): Imported {
  const id = textOf(row.id)!;
  const accountId = textOf(row.account_id);
  const end = endOf(row);
  const raw = rawOf(row, id, accountId, end === null);
  const parsed = parseMessage(raw ?? null, context);
  const createdMs = timeOf(row.created_at) ?? timeOf(row.sent_ts) ?? context.now;
  return {
    id,
    accountId,
    priority: parsePriority(row.priority) ?? context.defaultPriority,
    message: parsed.ok ? parsed.message : null,
    payload: parsed.ok ? parsed.message.payload : shownOf(raw, id),
    end: end ?? (parsed.ok ? null : unsendable(parsed.rejection.reason, context.now)),
    createdMs,
    updatedMs: timeOf(row.updated_at) ?? end?.atMs ?? createdMs,
  };
}

export function unsendable(reason: string, nowMs: number): NonNullable<Imported["end"]> {
  return { kind: "error", atMs: nowMs, error: `cannot be sent: ${reason}`, reportedMs: null };
}

function endOf({ sent_ts, error_ts, error, reported_ts }: PythonRow): Imported["end"] {
  const sentMs = timeOf(sent_ts);
  const errorMs = timeOf(error_ts);
  const reportedMs = timeOf(reported_ts);
  if (sentMs !== null) return { kind: "sent", atMs: sentMs, error: null, reportedMs };
  if (errorMs === null) return null;
  return { kind: "error", atMs: errorMs, error: textOf(error) ?? "an error without a text", reportedMs };
}

/** The columns hold what is true now, the payload what was posted. Undefined: it is no JSON. */
function rawOf(row: PythonRow, id: string, accountId: string | null, unsent: boolean): object | undefined {
  const posted = payloadOf(row);
  if (posted === undefined) return undefined;
  const { deferred_ts: _, expires_ts, priority: __, account_id: ___, ...kept } = posted as PythonRow;
  return {
    ...kept,
    id,
    ...(accountId !== null && { account_id: accountId }),
    ...(unsent && typeof row.deferred_ts === "number" && { deferred_ts: row.deferred_ts }),
    ...(unsent && expires_ts !== undefined && { expires_ts }),
  };
}

function payloadOf(row: PythonRow): object | undefined {
  // Leftovers of its first versions have columns instead.
  if (!("payload" in row)) return row;
  try {
    const value = JSON.parse(String(row.payload));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Of what passes no check, the little that people know it by. */
function shownOf(raw: object | undefined, id: string): Payload {
  const { from, to, subject } = (raw ?? {}) as PythonRow;
  const list = Array.isArray(to) ? to.filter((one) => typeof one === "string") : (textOf(to) ?? "");
  return { id, from: textOf(from) ?? "", to: list, subject: textOf(subject) ?? "" };
}

/** An empty text is none. */
export function textOf(value: unknown): string | null {
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value !== "" ? value : null;
}

export function numberOf(value: unknown): number | null {
  if (typeof value === "number") return value;
  return typeof value === "string" && /^\s*-?\d+(\.\d+)?\s*$/.test(value) ? Number(value) : null;
}

/** Epoch seconds, or ISO text without a zone, which Python and SQLite mean as UTC. In ms; null: no time. */
export function timeOf(value: unknown): number | null {
  const seconds = numberOf(value);
  if (seconds !== null) return seconds > 0 ? Math.floor(seconds * 1000) : null;
  const text = textOf(value)?.trim().replace(" ", "T");
  if (text === undefined) return null;
  const ms = Date.parse(/(Z|[+-]\d\d:?\d\d)$/i.test(text) ? text : `${text}Z`);
  return Number.isNaN(ms) ? null : ms;
}
