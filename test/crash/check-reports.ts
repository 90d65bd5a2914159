import type { ReportItem } from "../support/sync-client.ts";
import type { Books } from "./books.ts";
import type { MessageRecord } from "./service-client.ts";
import { LEASE_MS } from "./settings.ts";
import type { Posted, SyncCall } from "./sync-book.ts";

/**
 * What the client had got when the record was asked for, and has now that it is here: the record is not older than any
 * of the first, and not newer than all of the second.
 */
export type Got = { before: Posted[]; now: Posted[] };

/** What contradicts in the reports of one message, and between them and its record. */
export function reportFaults(record: MessageRecord, got: Got, books: Books): string[] {
  return [
    ...got.now.flatMap(({ item }) => itemFaults(item, record)),
    ...orderFaults(got.now, books),
    ...latestFaults(record, got),
  ];
}

function itemFaults(item: ReportItem, record: MessageRecord): string[] {
  const times = [item.sent_ts, item.error_ts, item.deferred_ts];
  const set = times.filter((one) => one !== null).length;
  const faults: string[] = [];
  if (times.some((one) => one === undefined) || set > 1) faults.push(`a report with the times ${times}`);
  if ((item.error !== null) !== (item.error_ts !== null)) faults.push(`a report with error ${item.error} at ${times}`);
  if (item.message_id !== record.message_id) faults.push(`a report with Message-ID ${item.message_id}`);
  if (typeof item.seq !== "number") faults.push(`a report with seq ${item.seq}`);
  return faults;
}

/** One state for each seq, and never an older one after a newer, but from a reporter that had stood still. */
function orderFaults(posted: Posted[], books: Books): string[] {
  const faults: string[] = [];
  const states = new Map<number, string>();
  let newest = 0;
  for (const { item, call } of posted) {
    const known = states.get(item.seq);
    if (known !== undefined && known !== stateOf(item)) faults.push(`seq ${item.seq} is ${known} and ${stateOf(item)}`);
    states.set(item.seq, stateOf(item));
    if (item.seq < newest && !wasOutOfTouch(call, books)) faults.push(`seq ${item.seq} was reported after ${newest}`);
    newest = Math.max(newest, item.seq);
  }
  return faults;
}

/** Stopped in the middle of a call, and struck off meanwhile: another called, and it could not know. */
export function wasOutOfTouch({ reporter, startedAt, endedAt }: SyncCall, books: Books): boolean {
  const stops = books.generation(reporter)?.stops ?? [];
  return stops.some(({ from, to }) => {
    const end = to ?? Date.now();
    return end - from >= LEASE_MS / 2 && end >= startedAt - LEASE_MS && from <= (endedAt ?? Date.now());
  });
}

/** What counts as reported was told as it is, and acknowledged; an end that was told is never taken back. */
function latestFaults(record: MessageRecord, { before, now }: Got): string[] {
  const newest = newestOf(before);
  const is = stateOf(record);
  if (record.reported_ts !== undefined) {
    const same = now.filter(({ item }) => stateOf(item) === is && item.seq >= (newest?.seq ?? 0));
    const told = newestOf(now);
    if (same.length === 0)
      return [`counts as reported: ${is}; the client was told: ${told ? stateOf(told) : "nothing"}`];
    if (!same.some(({ acknowledged }) => acknowledged))
      return [`counts as reported: ${is}; the client never acknowledged it`];
  }
  if (newest === null || stateOf(newest) === is || newest.deferred_ts !== null) return [];
  const wrong = newest.sent_ts !== null || !bornAgain(record);
  return wrong ? [`was reported: ${stateOf(newest)}; it is: ${is}`] : [];
}

function newestOf(posted: Posted[]): ReportItem | null {
  return posted.reduce<ReportItem | null>((newest, { item }) => (item.seq > (newest?.seq ?? 0) ? item : newest), null);
}

function bornAgain({ history = [] }: MessageRecord): boolean {
  return history.some(({ outcome }) => outcome === "error" || outcome === "ambiguous");
}

function stateOf(of: Pick<ReportItem, "error"> | MessageRecord): string {
  const { sent_ts, error_ts, error, deferred_ts } = of as ReportItem;
  if (sent_ts != null) return `sent at ${sent_ts}`;
  if (error_ts != null) return `error at ${error_ts}: ${error}`;
  return deferred_ts == null ? "pending" : `deferred until ${deferred_ts}`;
}
