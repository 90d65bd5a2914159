import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { eventually } from "./eventually.ts";

/** How a program ended. */
export type Exit = { code: number | null; signal: NodeJS.Signals | null };

export type Program = {
  pid: number;
  stdout(): string;
  stderr(): string;
  /** Both, as they came. */
  output(): string;
  /** Undefined while it runs. */
  exit(): Exit | undefined;
  exited(deadlineMs?: number): Promise<Exit>;
  kill(signal: NodeJS.Signals): void;
};

export type ProgramOptions = {
  cwd: string;
  env: Record<string, string | undefined>;
  /** It leads a group of its own, and signals go to all of that, as a terminal's Ctrl-C would. */
  group?: boolean;
};

/** What one start has read and compiled, the hundreds after it need not: half the time of a start. */
export const COMPILE_CACHE = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL("../../node_modules/.cache/compiled", import.meta.url)),
};

const running = new Map<ChildProcess, (signal: NodeJS.Signals) => void>();
// Whatever a test forgot, or left when it failed.
process.on("exit", () => {
  for (const kill of running.values()) kill("SIGKILL");
});

/** Runs Node with these arguments, and kills it at the latest when the test file ends. */
export function startProgram(args: string[], { cwd, env, group = false }: ProgramOptions): Program {
  const child = spawn(process.execPath, args, {
    cwd,
    env: { ...COMPILE_CACHE, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: group,
  });
  const kill = (signal: NodeJS.Signals) => void (group ? process.kill(-(child.pid ?? 0), signal) : child.kill(signal));
  const written = { stdout: "", stderr: "", output: "" };
  let exit: Exit | undefined;
  running.set(child, kill);
  // What a test forgot must not keep the file from ending either; every wait has a timer of its own.
  child.unref();
  for (const name of ["stdout", "stderr"] as const) {
    (child[name] as unknown as { unref(): void }).unref();
    child[name].setEncoding("utf8").on("data", (chunk: string) => {
      written[name] += chunk;
      written.output += chunk;
    });
  }
  child.on("close", (code, signal) => {
    running.delete(child);
    exit = { code, signal };
  });

  return {
    pid: child.pid ?? 0,
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    output: () => written.output,
    exit: () => exit,
    exited: (deadlineMs = 60_000) =>
      eventually(
        () => exit,
        deadlineMs,
        () => `the end of it\n${written.output}`,
      ),
    kill,
  };
}
