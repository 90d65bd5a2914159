import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";

export type Shutdown = {
  /** Aborted by the first signal: take no more work. */
  stopping: AbortSignal;
  /** Aborted shortly before the grace is over: what is still running is to be cut and given back. */
  deadline: AbortSignal;
  /** Stops as the first signal would, and ends with `code`: for what cannot go on, such as a newer schema. */
  exit(code: number, reason?: string): void;
  /** Waits for the stop, closes, and ends the process. */
  run(close: () => Promise<void>): Promise<void>;
};

/** A second Ctrl-C is meant; the same one arriving twice, by way of a parent, is not. */
const SECOND_SIGNAL_AFTER_MS = 1000;

/** What is left of the grace for cutting and giving back, after `deadline`. */
const CUT_MS = 1000;
const CUT_SHARE = 0.2;

/** Faults at a start that an operator mends: their sentence says all, a stack would only hide it. */
const OPERATORS_FAULTS = new Set([
  "StorageRefused",
  "StorageUnavailable",
  "StorageBusy",
  "KeyFileError",
  "CannotListen",
]);

function isOperatorsFault(error: unknown): error is Error {
  return error instanceof Error && OPERATORS_FAULTS.has(error.name);
}

type Options = { graceMs: number; log: Log; clock: Pick<Clock, "monotonicMs"> };

/**
 * Contract §1: SIGTERM or SIGINT stops, and SIGHUP as they do; a second signal from 1 s after the first, or the grace
 * running out, ends with 1. So does an error that nobody caught: what it left half done is in the database, and others
 * take it over.
 */
export function createShutdown({ graceMs, log, clock }: Options): Shutdown {
  const stopping = new AbortController();
  const deadline = new AbortController();
  let stoppingSinceMs: number | null = null;
  let exitCode = 0;

  const leave = (code: number, reason?: string) => {
    // Even a log that cannot be written any more must not keep the process.
    try {
      log.stopped({ code, ...(reason === undefined ? {} : { reason }) });
    } finally {
      process.exit(code);
    }
  };

  const stop = (reason: string) => {
    if (stoppingSinceMs !== null) return;
    stoppingSinceMs = clock.monotonicMs();
    log.stopping({ reason, graceMs });
    setTimeout(() => deadline.abort(), graceMs - Math.min(CUT_MS, graceMs * CUT_SHARE));
    setTimeout(() => leave(1, "the grace ran out"), graceMs);
    stopping.abort();
  };

  const onSignal = (signal: NodeJS.Signals) => {
    if (stoppingSinceMs === null) stop(signal);
    else if (clock.monotonicMs() - stoppingSinceMs >= SECOND_SIGNAL_AFTER_MS) leave(1, `a second ${signal}`);
  };

  const onUncaught = (error: unknown) => {
    if (isOperatorsFault(error)) return leave(1, error.message);
    try {
      log.failed(error, { what: "uncaught" });
    } finally {
      leave(1, "an error that nobody caught");
    }
  };

  // SIGHUP: the terminal was closed.
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, onSignal);
  // Node brings unhandled rejections here too.
  process.on("uncaughtException", onUncaught);

  return {
    stopping: stopping.signal,
    deadline: deadline.signal,
    exit(code, reason = `exit code ${code}`) {
      exitCode = Math.max(exitCode, code);
      stop(reason);
    },
    async run(close) {
      await aborted(stopping.signal);
      try {
        await close();
      } catch (error) {
        // What made it stop may well keep it from closing in good order.
        if (isOperatorsFault(error)) return leave(1, error.message);
        log.failed(error, { what: "closing" });
        return leave(1, "closing failed");
      }
      if (deadline.signal.aborted) return leave(1, "the grace ran out");
      leave(exitCode);
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
