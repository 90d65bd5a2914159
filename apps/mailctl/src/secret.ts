import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import type { Deps } from "./deps.ts";
import { Refused, WrongUsage } from "./faults.ts";
import { readBytes } from "./input.ts";

/** From a file (`-`: standard input), or asked of a person; never from an argument, which every user of the machine can read. */
export async function readSecret(
  deps: Pick<Deps, "stdin" | "tell">,
  { file, ask, question }: { file?: string | undefined; ask?: boolean | undefined; question: string },
): Promise<string | undefined> {
  if (file !== undefined) return (await readBytes(deps, file, "the file")).toString("utf8").replace(/[\r\n]+$/, "");
  return ask ? askHidden(deps, question) : undefined;
}

/** What is typed is not shown. */
async function askHidden({ stdin, tell }: Pick<Deps, "stdin" | "tell">, question: string): Promise<string> {
  if (!stdin.isTTY)
    throw new WrongUsage(`${question}: there is no terminal to ask at, wanted: a file, or - for standard input`);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: stdin, output: nowhere, terminal: true });
  // Not before the terminal has stopped to show what is typed.
  tell(`${question}: `);
  const given = new AbortController();
  // At Ctrl-C and Ctrl-D; the question itself would never end then.
  terminal.once("close", () => given.abort());
  try {
    return await terminal.question("", { signal: given.signal });
  } catch (error) {
    if (given.signal.aborted) throw new Refused(`${question}: nothing was given`);
    throw error;
  } finally {
    terminal.close();
    tell("");
  }
}

export function refuseArgument(option: string, instead: string): () => never {
  return () => {
    throw new WrongUsage(`--${option} is not taken from the command line, where others can read it: use ${instead}`);
  };
}
