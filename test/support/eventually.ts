import { setTimeout as pause } from "node:timers/promises";

/**
 * Asks again and again until the answer is neither undefined, null nor false, and answers it. What throws is asked
 * again too; after `deadlineMs` its last failure is the test's.
 */
export async function eventually<T>(
  ask: () => T | Promise<T>,
  deadlineMs = 5000,
  what: string | (() => string) = "what the test waits for",
): Promise<NonNullable<Exclude<T, false>>> {
  const startedMs = performance.now();
  let failure: unknown;
  while (performance.now() - startedMs < deadlineMs) {
    try {
      const answer = await ask();
      failure = undefined;
      if (answer !== undefined && answer !== null && answer !== false) return answer as NonNullable<Exclude<T, false>>;
    } catch (error) {
      failure = error;
    }
    await pause(10);
  }
  const missed = typeof what === "string" ? what : what();
  throw new Error(`${missed} did not come within ${deadlineMs} ms`, { cause: failure });
}

/** A promise and the handle to fulfil it: lets a test hold a step back and let it go. */
export function gate(): { opened: Promise<void>; open(): void } {
  let open: () => void = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
