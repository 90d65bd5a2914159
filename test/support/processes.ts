import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { eventually } from "./eventually.ts";
import { temporaryFolder } from "./temporary-folder.ts";

export type ProcessKind = "api" | "dispatcher" | "reporter";

export type ProcessOptions = {
  /** The whole environment beyond PATH; by default a database in a folder of its own, a free port, the token `test-token`. */
  env?: Record<string, string>;
  /** Text of its config.ini. */
  config?: string;
  /** Where config.ini and, by default, the database are: the same for all that shall work together. */
  folder?: string;
  args?: string[];
};

// biome-ignore lint/suspicious/noExplicitAny: a test looks into answers freely, and fails where they are otherwise.
export type LogLine = { level: string; event?: string; msg?: string; [field: string]: any };

/** How a process ended. */
export type Exit = { code: number | null; signal: NodeJS.Signals | null };

export type Proc = {
  kind: ProcessKind;
  pid: number;
  folder: string;
  /** JSON lines of standard output, parsed, as they come. */
  log: LogLine[];
  /** Everything written to standard output and to standard error, as text. */
  stdout(): string;
  stderr(): string;
  /** The URL on which it listens, once it does: of the REST API, or of metrics and health. */
  listening(deadlineMs?: number): Promise<string>;
  /** The first log line (from the beginning) of that event, once it is there. */
  logged(event: string, deadlineMs?: number): Promise<LogLine>;
  /** Resolves when it has ended. */
  exited(deadlineMs?: number): Promise<Exit>;
  /** SIGTERM, and how it ended then. */
  stop(deadlineMs?: number): Promise<Exit>;
  kill(signal: NodeJS.Signals): void;
};

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const running = new Set<ChildProcess>();
// Whatever a test forgot, or left when it failed.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts one of the three processes, as its Procfile line would. Does not wait for it to listen. */
export async function startProcess(kind: ProcessKind, options: ProcessOptions = {}): Promise<Proc> {
  const folder = options.folder ?? temporaryFolder();
  if (options.config !== undefined) writeFileSync(join(folder, "config.ini"), options.config);
  const child = spawn(process.execPath, [join(ROOT, `apps/${kind}/src/main.ts`), ...(options.args ?? [])], {
    cwd: folder,
    env: { ...defaults(folder), ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  // A forgotten child must not keep the test file from ending; every wait below has a timer of its own.
  child.unref();

  const log: LogLine[] = [];
  let stdout = "";
  let stderr = "";
  let exit: Exit | undefined;
  for (const stream of [child.stdout, child.stderr]) (stream as unknown as { unref(): void }).unref();
  createInterface({ input: child.stdout }).on("line", (line) => {
    stdout += `${line}\n`;
    if (line.startsWith("{")) log.push(JSON.parse(line));
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    stderr += chunk;
  });
  child.on("close", (code, signal) => {
    running.delete(child);
    exit = { code, signal };
  });

  async function logged(event: string, deadlineMs = 10_000): Promise<LogLine> {
    const found = () => log.find((line) => line.event === event);
    const line = await eventually(() => found() ?? exit, deadlineMs, `"${event}" of ${kind}\n${stdout}${stderr}`);
    if ("event" in line) return line as LogLine;
    throw new Error(`${kind} ended with ${JSON.stringify(exit)} before "${event}":\n${stdout}${stderr}`);
  }
  const exited = (deadlineMs = 35_000) => eventually(() => exit, deadlineMs, `the end of ${kind}`);

  return {
    kind,
    pid: child.pid ?? 0,
    folder,
    log,
    stdout: () => stdout,
    stderr: () => stderr,
    listening: async (deadlineMs) => (await logged("listening", deadlineMs)).url,
    logged,
    exited,
    stop: (deadlineMs) => {
      child.kill("SIGTERM");
      return exited(deadlineMs);
    },
    kill: (signal) => void child.kill(signal),
  };
}

function defaults(folder: string): Record<string, string> {
  return {
    PATH: process.env.PATH ?? "",
    HOME: folder,
    DB_PATH: join(folder, "mail.db"),
    HOST: "127.0.0.1",
    PORT: "0",
    API_TOKEN: "test-token",
  };
}
