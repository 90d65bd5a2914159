import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

export type ProcessGroup = {
  /** The exit code for all of it, once the last has ended: 0 when it was asked for and each ended in good order. */
  ended: Promise<number>;
};

type Options = {
  kinds: readonly string[];
  root: string;
  env: Record<string, string | undefined>;
  /** Takes each line that one of them writes. */
  print(kind: string, line: string): void;
  tell(text: string): void;
};

/** A terminal sends Ctrl-C to all of us, and npm once more to us: within this time they are one. */
const ECHO_MS = 1000;
const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Runs the processes side by side until a signal stops them, or one of them ends: then the others are stopped too. */
export function runProcesses({ kinds, root, env, print, tell }: Options): ProcessGroup {
  const children = new Map<string, ChildProcess>();
  let stoppingSince: number | null = null;
  let code = 0;
  const { promise: ended, resolve: finish } = Promise.withResolvers<number>();

  for (const kind of kinds) {
    const child = spawn(process.execPath, [join(root, "apps", kind, "src/main.ts")], {
      cwd: root,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    children.set(kind, child);
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on("line", (line) => print(kind, line));
    child.on("close", (exit, signal) => gone(kind, exit ?? signal));
  }
  for (const signal of STOP_SIGNALS) process.on(signal, stop);

  function gone(kind: string, exit: number | NodeJS.Signals | null): void {
    children.delete(kind);
    if (stoppingSince === null) {
      code = 1;
      tell(`${kind} ended (${exit}) though nobody asked it to: stopping the others`);
      stop();
    } else if (!inGoodOrder(exit)) {
      code = 1;
      tell(`${kind} ended with ${exit}`);
    }
    if (children.size === 0) finish(code);
  }

  /** The second time, from a second on, they take it as an order to end at once. */
  function stop(): void {
    const now = performance.now();
    if (stoppingSince !== null && now - stoppingSince < ECHO_MS) return;
    stoppingSince ??= now;
    for (const child of children.values()) child.kill("SIGTERM");
  }

  return { ended };
}

/** One that is stopped while it still starts is ended by the signal itself; it had begun nothing. */
function inGoodOrder(exit: number | NodeJS.Signals | null): boolean {
  return exit === 0 || STOP_SIGNALS.some((signal) => signal === exit);
}
