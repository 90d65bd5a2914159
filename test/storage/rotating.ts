import { join } from "node:path";
import { ROOT } from "../support/processes.ts";
import { type Program, startProgram } from "../support/programs.ts";

export type Rotated = { code: number | null; said: string };

/** Begins `mailctl rotate-key`, configured as the processes in that folder. */
export function startRotating(folder: string, env: Record<string, string> = {}): Program {
  return startProgram([join(ROOT, "apps/mailctl/src/main.ts"), "rotate-key"], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, DB_PATH: join(folder, "mail.db"), ...env },
  });
}

export async function rotateKey(folder: string, env?: Record<string, string>): Promise<Rotated> {
  const program = startRotating(folder, env);
  const { code } = await program.exited();
  return { code, said: program.output() };
}
