import type { Limits } from "@async-mail/domain/account";
import type { Database } from "better-sqlite3";
import { statement } from "./statement.ts";
import type { Tx } from "./tx.ts";

/**
 * Limits in rolling windows (contract §5). `sends` holds running totals, so what a window contains is the total now
 * less the total at its beginning: two look-ups, however much was sent. What is in flight counts in full.
 */

/** What limits hold of: a queue, or all queues of a tenant. */
export type Counted = {
  /** Its name in `sends`. */
  counter: number;
  /** Null: none. */
  limits: Limits | null;
  inFlight: number;
  inFlightRecipients: number;
  /** Recipients of the message that comes next. */
  nextRecipients: number;
  sendsTotal: number;
  recipientsTotal: number;
  lastEndedMs: number;
};

/** Of a row of `queues` or `tenants`: what limits look at. */
export function countedAs(counter: number, limits: Limits | null, row: Omit<Counted, "counter" | "limits">): Counted {
  const { inFlight, inFlightRecipients, nextRecipients, sendsTotal, recipientsTotal, lastEndedMs } = row;
  return { counter, limits, inFlight, inFlightRecipients, nextRecipients, sendsTotal, recipientsTotal, lastEndedMs };
}

type Totals = Pick<Counted, "sendsTotal" | "recipientsTotal" | "lastEndedMs">;

type Window = { key: keyof Limits; name: string; limit: number; lengthMs: number; of: "messages" | "recipients" };

const DAY_MS = 86_400_000;

const TOTAL_AT =
  "SELECT sends_total AS messages, recipients_total AS recipients FROM sends WHERE queue = ? AND ended_ms <= ? ORDER BY ended_ms DESC LIMIT 1";
const COUNT =
  "INSERT INTO sends (queue, ended_ms, sends_total, recipients_total) VALUES (?, ?, ?, ?) " +
  "ON CONFLICT (queue, ended_ms) DO UPDATE SET sends_total = excluded.sends_total, recipients_total = excluded.recipients_total";

const WINDOWS: Omit<Window, "limit">[] = [
  { key: "perMinute", name: "a minute", lengthMs: 60_000, of: "messages" },
  { key: "perHour", name: "an hour", lengthMs: 3_600_000, of: "messages" },
  { key: "perDay", name: "a day", lengthMs: DAY_MS, of: "messages" },
  { key: "recipientsPerDay", name: "a day", lengthMs: DAY_MS, of: "recipients" },
];

function windowsOf({ limits }: Counted): Window[] {
  if (limits === null) return [];
  return WINDOWS.flatMap((window) => {
    const limit = limits[window.key];
    return limit === null ? [] : [{ ...window, limit }];
  });
}

/** How many more messages, and recipients, could be claimed now. Infinity where nothing limits. */
export function roomFor(db: Database, counted: Counted, steadyMs: number): { messages: number; recipients: number } {
  const room = { messages: Number.POSITIVE_INFINITY, recipients: Number.POSITIVE_INFINITY };
  for (const window of windowsOf(counted)) {
    room[window.of] = Math.min(room[window.of], window.limit - usedIn(db, counted, window, steadyMs));
  }
  return room;
}

/** What each limit has left; null where there is none. */
export function leftOf(db: Database, counted: Counted, steadyMs: number): Limits {
  const left: Limits = { perMinute: null, perHour: null, perDay: null, recipientsPerDay: null };
  for (const window of windowsOf(counted)) {
    left[window.key] = Math.max(0, window.limit - usedIn(db, counted, window, steadyMs));
  }
  return left;
}

/** The limit that forbids the next message, and until when (null: until something in flight ends). */
export function blockedBy(tx: Tx, counted: Counted): { reason: string; untilMs: number | null } | null {
  let worst: { reason: string; untilMs: number | null } | null = null;
  for (const window of windowsOf(counted)) {
    const wanted = window.of === "messages" ? 1 : Math.min(counted.nextRecipients, window.limit);
    const excess = usedIn(tx.db, counted, window, tx.now.steadyMs) + wanted - window.limit;
    if (excess <= 0) continue;
    const untilMs = whenFreed(tx.db, counted, window, excess, tx.now.steadyMs);
    const reason = `${window.limit} ${window.of} ${window.name}`;
    if (!worst || later(untilMs, worst.untilMs)) worst = { reason, untilMs };
  }
  return worst;
}

/** Counts an attempt that the server saw, from the moment it ended. */
export function countSend(counted: Totals, recipients: number, steadyMs: number): void {
  // Never before the one counted last: totals and moments must grow together.
  counted.lastEndedMs = Math.max(counted.lastEndedMs, steadyMs);
  counted.sendsTotal += 1;
  counted.recipientsTotal += recipients;
}

/** The totals of a transaction: one row for all that it counted, at its latest moment, so that no window ends too early. */
export function saveTotals(db: Database, { counter, lastEndedMs, sendsTotal, recipientsTotal }: Counted): void {
  statement(db, COUNT).run(counter, lastEndedMs, sendsTotal, recipientsTotal);
}

/** Attempts ended since a moment. */
export function sentSince(db: Database, { counter, sendsTotal }: Counted, momentMs: number): number {
  const before = statement<{ messages: number }>(db, TOTAL_AT).get(counter, momentMs)?.messages ?? 0;
  return sendsTotal - before;
}

function usedIn(db: Database, counted: Counted, window: Window, steadyMs: number): number {
  const inFlight = window.of === "messages" ? counted.inFlight : counted.inFlightRecipients;
  return inFlight + totalNow(counted, window) - totalAt(db, counted, window, steadyMs - window.lengthMs);
}

function totalNow(counted: Counted, window: Window): number {
  return window.of === "messages" ? counted.sendsTotal : counted.recipientsTotal;
}

function totalAt(db: Database, { counter }: Counted, window: Window, momentMs: number): number {
  return statement<Record<Window["of"], number>>(db, TOTAL_AT).get(counter, momentMs)?.[window.of] ?? 0;
}

/** The moment at which `excess` of what the window holds will have left it; null: that much is still in flight. */
function whenFreed(db: Database, counted: Counted, window: Window, excess: number, steadyMs: number): number | null {
  const total = totalAt(db, counted, window, steadyMs - window.lengthMs) + excess;
  if (total > totalNow(counted, window)) return null;
  let low = steadyMs - window.lengthMs;
  let high = counted.lastEndedMs;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (totalAt(db, counted, window, middle) >= total) high = middle;
    else low = middle + 1;
  }
  return low + window.lengthMs;
}

function later(a: number | null, b: number | null): boolean {
  return b !== null && (a === null || a > b);
}
