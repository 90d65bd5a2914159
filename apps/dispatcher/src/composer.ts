import { Piscina } from "piscina";
import { timerMs } from "./longest-timer.ts";
import { type ComposeAnswer, type ComposeTask, composeTexts, uncomposable } from "./mime-text.ts";

export type Composer = {
  /** `bytes`: how large the payload is. Throws ComposerClosed. */
  compose(task: ComposeTask, bytes: number): Promise<ComposeAnswer>;
  /** Messages that wait for a thread. */
  queued(): number;
  close(): Promise<void>;
};

export type ComposerOptions = {
  threads: number;
  /** A thread failed while it had nothing to do. */
  onError(error: unknown): void;
  worker?: URL;
  timeoutMs?: number;
};

/** The pool was closed before the message was composed. */
export class ComposerClosed extends Error {
  override name = "ComposerClosed";
}

/** Batches that one thread works on side by side: one is being handed over while the next is composed. */
const TASKS_PER_THREAD = 4;
/** Messages in one batch: the crossing to a thread costs as much as a fifth of a small message's MIME. */
const BATCH = 8;
/** A thread that is not needed goes after a while; the first one stays. */
const IDLE_MS = 30_000;
/** What composing may take: far more than the largest message needs on a busy machine. */
const COMPOSING_MS = 30_000;

/** Texts of so many bytes take less time than the crossing to a thread and back. */
const LIGHT_BYTES = 8 * 1024;

/** Makes MIME of messages: of the light ones at once, of the others in threads, so that nothing waits behind them. */
export function createComposer({ threads, onError, ...options }: ComposerOptions): Composer {
  const { worker = new URL("./compose.worker.ts", import.meta.url), timeoutMs = COMPOSING_MS } = options;
  const open = (size: { minThreads: number; maxThreads: number; concurrentTasksPerWorker: number }) =>
    new Piscina({ filename: worker.href, idleTimeout: IDLE_MS, recordTiming: false, ...size }).on("error", onError);
  const shared = open({ minThreads: 1, maxThreads: threads, concurrentTasksPerWorker: TASKS_PER_THREAD });
  const runTogether = inBatches((tasks) => runIn(shared, tasks, timeoutMs));
  let apart: Piscina | null = null;
  let lastApart: Promise<unknown> = Promise.resolve();
  let closed = false;

  async function compose(task: ComposeTask, bytes: number): Promise<ComposeAnswer> {
    if (bytes <= LIGHT_BYTES && task.attachedAs.length === 0) return composeHere(task);
    const first = await runTogether(task);
    if (!("fault" in first)) return first;
    // A thread died: of this message, or of one beside it. Alone, one after another, they show which.
    const second = lastApart.then(() => runApart(task));
    lastApart = second.catch(() => {});
    return await second;
  }

  async function runApart(task: ComposeTask): Promise<ComposeAnswer> {
    if (closed) throw new ComposerClosed("the dispatcher is stopping");
    apart ??= open({ minThreads: 0, maxThreads: 1, concurrentTasksPerWorker: 1 });
    const [answer] = await runIn(apart, [task], timeoutMs);
    if (answer !== undefined && !("fault" in answer)) return answer;
    const { fault, timedOut } = answer ?? { fault: "no answer", timedOut: false };
    return { ok: false, permanent: !timedOut, reason: `composing failed: ${fault}` };
  }

  return {
    compose,
    queued: () => shared.queueSize,
    close: async () => {
      closed = true;
      await Promise.all([shared.destroy(), apart?.destroy()]);
    },
  };
}

function composeHere(task: ComposeTask): ComposeAnswer {
  try {
    return composeTexts(task);
  } catch (error) {
    return uncomposable(error);
  }
}

type ThreadFault = { fault: string; timedOut: boolean };
type Composed = ComposeAnswer | ThreadFault;
type Waiting = { task: ComposeTask; resolve(answer: Composed): void };

/** Gathers the messages of one turn of the event loop. */
function inBatches(run: (tasks: ComposeTask[]) => Promise<Composed[]>): (task: ComposeTask) => Promise<Composed> {
  let gathered: Waiting[] = [];

  async function runBatch(batch: Waiting[]): Promise<void> {
    const answers = await run(batch.map((one) => one.task));
    batch.forEach((one, index) => {
      one.resolve(answers[index] as Composed);
    });
  }

  function leave(): void {
    const batch = gathered;
    gathered = [];
    for (let first = 0; first < batch.length; first += BATCH) void runBatch(batch.slice(first, first + BATCH));
  }

  return (task) =>
    new Promise((resolve) => {
      if (gathered.push({ task, resolve }) === 1) setImmediate(leave);
    });
}

/** Never throws. The last resort against a message that hangs: its thread is ended. */
async function runIn(pool: Piscina, tasks: ComposeTask[], timeoutMs: number): Promise<Composed[]> {
  const tooLong = new AbortController();
  const timer = setTimeout(() => tooLong.abort(), timerMs(timeoutMs));
  try {
    return await pool.run(tasks, { signal: tooLong.signal });
  } catch (error) {
    const timedOut = tooLong.signal.aborted;
    const fault = timedOut ? `not done within ${timeoutMs / 1000} s` : String(error);
    return tasks.map(() => ({ fault, timedOut }));
  } finally {
    clearTimeout(timer);
  }
}
