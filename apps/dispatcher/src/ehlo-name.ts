import { lookup, lookupService } from "node:dns/promises";

/** The name to greet servers with, and whether it is a real one. */
export type EhloName = { name: string; guessed: boolean };

/**
 * The configured name, else the machine's fully qualified one. Never an address in brackets: relays refuse or suspect
 * `[127.0.0.1]`. A machine that knows no domain of its own gets `.localdomain`, and its operator a warning.
 */
export async function ehloName(configured: string | null, hostname: string): Promise<EhloName> {
  const name = configured ?? (hostname.includes(".") ? hostname : await qualified(hostname));
  return name === null ? { name: `${hostname}.localdomain`, guessed: true } : { name, guessed: false };
}

async function qualified(hostname: string): Promise<string | null> {
  try {
    const { address } = await lookup(hostname);
    const { hostname: name } = await lookupService(address, 0);
    return name.includes(".") && !name.startsWith("localhost") ? name : null;
  } catch {
    // No resolver knows this machine: then there is no better name than the one it has.
    return null;
  }
}
