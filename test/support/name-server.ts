/** What look-ups of one name get; without `answers` it fails. */
export type NameAnswer = {
  /** For each look-up its addresses, the last for all that follow. */
  answers?: string[][];
  afterMs?: number;
  /** As node:dns has it; default ENOTFOUND. */
  error?: string;
};

/** By name, in lower case, ending in `.test`; names that are not here are not found. */
export type NameScript = Record<string, NameAnswer>;

/** For startService or startProcess: the names as whole processes see them, counted in each thread for itself. */
export function namesFor(script: NameScript): Record<string, string> {
  const preload = new URL("./scripted-dns.ts", import.meta.url);
  return { NODE_OPTIONS: `--import=${preload.href}`, SCRIPTED_DNS: JSON.stringify(script) };
}
