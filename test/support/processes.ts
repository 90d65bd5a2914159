import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { eventually } from "./eventually.ts";
import { type Exit, type Program, startProgram } from "./programs.ts";
import { temporaryFolder } from "./temporary-folder.ts";

export type { Exit } from "./programs.ts";

export type ProcessKind = "api" | "dispatcher" | "reporter";

export type ProcessOptions = {
  /** Over the defaults: a database in a folder of its own, loopback, a free port, the token `test-token`. */
  env?: Record<string, string>;
  /** Text of its config.ini. */
  config?: string;
  /** Where config.ini and, by default, the database are: the same for all that shall work together. */
  folder?: string;
  args?: string[];
};

// biome-ignore lint/suspicious/noExplicitAny: a test looks into answers freely, and fails where they are otherwise.
export type LogLine = { level: string; event?: string; msg?: string; [field: string]: any };

export type Proc = Omit<Program, "output" | "exit"> & {
  kind: ProcessKind;
  folder: string;
  /** The JSON lines of standard output, parsed; grows as they come. */
  readonly log: LogLine[];
  /** The URL on which it listens, once it does: of the REST API, or of metrics and health. */
  listening(deadlineMs?: number): Promise<string>;
  /** The first log line (from the beginning) of that event, once it is there. */
  logged(event: string, deadlineMs?: number): Promise<LogLine>;
  /** SIGTERM, and how it ended then. */
  stop(deadlineMs?: number): Promise<Exit>;
};

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Starts one of the three processes, as its Procfile line would. Does not wait for it to listen. */
export async function startProcess(kind: ProcessKind, options: ProcessOptions = {}): Promise<Proc> {
  const folder = options.folder ?? temporaryFolder();
  if (options.config !== undefined) writeFileSync(join(folder, "config.ini"), options.config);
  const program = startProgram([join(ROOT, `apps/${kind}/src/main.ts`), ...(options.args ?? [])], {
    cwd: folder,
    env: { ...defaults(folder), ...options.env },
  });

  async function logged(event: string, deadlineMs = 60_000): Promise<LogLine> {
    const find = () => logLines(program.stdout()).find((line) => line.event === event);
    await eventually(
      () => find() ?? program.exit(),
      deadlineMs,
      () => `"${event}" of ${kind}\n${program.output()}`,
    );
    const line = find();
    if (line) return line;
    throw new Error(`${kind} ended with ${JSON.stringify(program.exit())} before "${event}":\n${program.output()}`);
  }

  return {
    ...program,
    kind,
    folder,
    get log() {
      return logLines(program.stdout());
    },
    listening: async (deadlineMs) => (await logged("listening", deadlineMs)).url,
    logged,
    stop: (deadlineMs) => {
      program.kill("SIGTERM");
      return program.exited(deadlineMs);
    },
  };
}

/** Whole lines only: the last may still be on its way. */
function logLines(stdout: string): LogLine[] {
  const lines = stdout.split("\n").slice(0, -1);
  return lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
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
