import { readFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import type { Deps } from "./deps.ts";
import { Refused, WrongUsage } from "./faults.ts";

/** What `-` on the command line stands for. yargs takes a single hyphen for no value at all, so it never sees one. */
export const STDIN = "/dev/stdin";

export function withStdin(argv: readonly string[]): string[] {
  return argv.map((argument) => (argument === "-" ? STDIN : argument));
}

export async function readBytes({ stdin }: Pick<Deps, "stdin">, file: string, what: string): Promise<Buffer> {
  if (file === STDIN) return buffer(stdin);
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Refused(`${what} ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** An object as the API takes it. */
export async function readJson(deps: Pick<Deps, "stdin">, what: string): Promise<Record<string, unknown>> {
  const text = (await readBytes(deps, STDIN, what)).toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new WrongUsage(`standard input is not JSON, wanted: ${what} as an object, as the API takes it`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new WrongUsage(`standard input is no object, wanted: ${what} as the API takes it`);
}

/** Without those that were not given. */
export function onlyGiven<T extends Record<string, unknown>>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}
