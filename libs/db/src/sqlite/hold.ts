import { holdDelayMs } from "@async-mail/domain/backoff";
import type { Queue } from "./queue-row.ts";
import type { Tx } from "./tx.ts";

/** An account's hold by a fault: until when, by what, and its end. */

/** Once more at fault: held twice as long as the last time. */
export function beginHold(tx: Tx, queue: Queue, reason: string): void {
  queue.heldSinceMs ??= tx.now.steadyMs;
  queue.holdFailures += 1;
  queue.heldBy = "fault";
  queue.holdReason = reason;
  queue.holdUntilMs = tx.now.steadyMs + holdDelayMs(queue.holdFailures);
  tx.leftLine(queue); // its tenant's other accounts wait no more for what waits here
}

/** Whoever made it. */
export function release(queue: Queue): void {
  queue.heldBy = null;
  queue.holdReason = null;
  queue.heldSinceMs = null;
  queue.holdUntilMs = null;
  queue.holdFailures = 0;
  queue.probe = null;
}

/** Within a series of faults only the probe tells of the account now: all others were begun before. */
export function tellsOfNow(queue: Queue, wasProbe: boolean): boolean {
  return queue.holdFailures === 0 || wasProbe;
}
