import { spawn } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { ROOT } from "../../support/processes.ts";
import { COMPILE_CACHE } from "../../support/programs.ts";

// biome-ignore lint/suspicious/noExplicitAny: a test looks into answers freely, and fails where they are otherwise.
export type Ended = { code: number | null; stdout: string; stderr: string; json: any };

export type MailctlOptions = {
  cwd: string;
  env?: Record<string, string>;
  stdin?: string;
  signal?: AbortSignal;
  /** Called with each piece of what it tells besides its answer. */
  onTold?: (text: string) => void;
};

export const MAIN = join(ROOT, "apps/mailctl/src/main.ts");

/** The command as a person or a script starts it, with no other environment than what is given. */
export async function mailctl(
  args: string[],
  { cwd, env = {}, stdin = "", signal, onTold }: MailctlOptions,
): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd,
    env: { PATH: process.env.PATH ?? "", HOME: cwd, ...COMPILE_CACHE, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  signal?.addEventListener("abort", () => child.kill("SIGINT"));
  child.stdin.on("error", () => {}); // it may end without having read it
  child.stdin.end(stdin);
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (piece: string) => {
    stderr += piece;
    onTold?.(piece);
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const [code, stdout] = await Promise.all([ended, text(child.stdout)]);
  return { code, stdout, stderr, json: parsed(stdout) };
}

function parsed(stdout: string): unknown {
  try {
    return JSON.parse(stdout);
  } catch {
    return undefined;
  }
}
