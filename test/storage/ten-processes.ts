import { type Proc, type ProcessKind, startProcess } from "../support/processes.ts";

const TEN: ProcessKind[] = [
  ...Array<ProcessKind>(3).fill("api"),
  ...Array<ProcessKind>(4).fill("dispatcher"),
  ...Array<ProcessKind>(3).fill("reporter"),
];

export type Together = {
  procs: Proc[];
  /** What each process that did not come to listen had to say. */
  failures: string[];
  /** Stops them; answers what each had to say that did not end in good order. */
  stop(): Promise<string[]>;
};

/** Starts ten processes on one file at the same moment, and waits until each listens or has ended. */
export async function startTen(folder: string, env: Record<string, string>): Promise<Together> {
  const procs = await Promise.all(TEN.map((kind) => startProcess(kind, { folder, env })));
  const failures = await complaints(procs, (proc) => proc.listening(180_000));
  return {
    procs,
    failures,
    stop: () =>
      complaints(procs, async (proc) => {
        const exit = await proc.stop();
        if (exit.code !== 0) throw new Error(`${proc.kind} ended with ${JSON.stringify(exit)}:\n${proc.stdout()}`);
      }),
  };
}

async function complaints(procs: Proc[], act: (proc: Proc) => Promise<unknown>): Promise<string[]> {
  const results = await Promise.allSettled(procs.map(act));
  return results.flatMap((result) => (result.status === "rejected" ? [String(result.reason)] : []));
}
