import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../support/processes.ts";
import { COMPILE_CACHE } from "../support/programs.ts";

export type ProcessKind = "api" | "dispatcher" | "reporter";

/** One start of a process, from its beginning to its end. Times are wall ms. */
export type Generation = {
  /** `d2-7`: the seventh start of the second dispatcher. */
  name: string;
  kind: ProcessKind;
  pid: number;
  startedAt: number;
  /** Signals that ended it, or were to. */
  signals: { signal: NodeJS.Signals; at: number }[];
  /** From SIGSTOP to SIGCONT; null: stopped still. */
  stops: { from: number; to: number | null }[];
  end: { at: number; code: number | null; signal: NodeJS.Signals | null } | null;
  /** Its log. */
  file: string;
};

export type Running = { generation: Generation; child: ChildProcess; ended: Promise<void> };

const children = new Set<ChildProcess>();
// However the test ends.
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

export function startGeneration(
  kind: ProcessKind,
  name: string,
  { folder, env }: { folder: string; env: Record<string, string> },
): Running {
  const file = join(folder, `${name}.log`);
  const log = openSync(file, "a");
  const child = spawn(process.execPath, [join(ROOT, `apps/${kind}/src/main.ts`)], {
    cwd: folder,
    env: { ...COMPILE_CACHE, ...env },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  children.add(child);
  const startedAt = Date.now();
  const generation: Generation = {
    name,
    kind,
    pid: child.pid ?? 0,
    startedAt,
    signals: [],
    stops: [],
    end: null,
    file,
  };
  const ended = new Promise<void>((resolve) =>
    child.once("exit", (code, signal) => {
      children.delete(child);
      generation.end = { at: Date.now(), code, signal };
      resolve();
    }),
  );
  return { generation, child, ended };
}

/** It was not stopped by anyone, and yet it ended: that is a defect of its own. */
export function endedByItself({ signals, end }: Generation): boolean {
  return end !== null && signals.length === 0;
}

/** Its log says so: also without a stop of ours, on a machine that had no time for it. */
export function wasStruckOff({ file }: Generation): boolean {
  return readFileSync(file, "utf8").includes('"event":"was_struck_off"');
}
