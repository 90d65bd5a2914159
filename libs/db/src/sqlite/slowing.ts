import { type Pace, paceAt, paceEndsMs, slower } from "@async-mail/domain/pace";
import { CLAIMS_PER_CONNECTION } from "../store.ts";
import { sentSince } from "./limits.ts";
import { countedOf, type Queue } from "./queue-row.ts";
import type { Tx } from "./tx.ts";

/** An account that its server found too fast: the pace stands in its row, and grows back with time alone. */

const MINUTE_MS = 60_000;

/** The pace in force; null: none. `most` connections it has without one. */
export function paceOf(queue: Queue, most: number, steadyMs: number): Pace | null {
  const pace = written(queue);
  return pace === null ? null : paceAt(pace, most, steadyMs);
}

/** The least time between two of its turns; 0: no pace. */
export function gapOf(queue: Queue, steadyMs: number): number {
  return paceOf(queue, 1, steadyMs)?.gapMs ?? 0;
}

/** As `paceOf`, with the server's words, and when it ends. */
export function slowed(queue: Queue, steadyMs: number): (Pace & { reason: string; untilMs: number }) | null {
  const pace = written(queue);
  const now = paceOf(queue, queue.account?.maxConnections ?? connectionsNow(queue), steadyMs);
  if (pace === null || now === null) return null;
  return { ...now, reason: queue.slowedReason ?? "", untilMs: paceEndsMs(pace) };
}

export function slowDown(tx: Tx, queue: Queue, reason: string): void {
  const facts = {
    sentInMinute: sentSince(tx.db, countedOf(queue), tx.now.steadyMs - MINUTE_MS),
    connections: connectionsNow(queue),
  };
  const pace = slower(written(queue), facts, tx.now.steadyMs);
  queue.slowedReason = reason;
  queue.slowedGapMs = pace.gapMs;
  queue.slowedConnections = pace.connections;
  queue.slowedSinceMs = pace.sinceMs;
}

/** What was changed about the account may have been what made it too fast. */
export function forgetPace(queue: Queue): void {
  queue.slowedReason = null;
  queue.slowedGapMs = null;
  queue.slowedConnections = null;
  queue.slowedSinceMs = null;
}

/** As of its last claim; the configured number for accounts without their own is not in the file. */
function connectionsNow({ capacity }: Queue): number {
  return Math.ceil((capacity ?? CLAIMS_PER_CONNECTION) / CLAIMS_PER_CONNECTION);
}

function written(queue: Queue): Pace | null {
  const { slowedGapMs: gapMs, slowedConnections: connections, slowedSinceMs: sinceMs } = queue;
  return gapMs === null || connections === null || sinceMs === null ? null : { gapMs, connections, sinceMs };
}
