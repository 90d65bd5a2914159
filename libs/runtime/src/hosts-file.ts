import type { LookupAddress } from "node:dns";
import { readFile, stat } from "node:fs/promises";
import { isIP } from "node:net";

/** Asks the system's hosts file, which is read again when it has changed. No addresses: it does not know the host. */
export function hostsFile(path: string): (host: string) => Promise<LookupAddress[]> {
  let known = { version: "", hosts: new Map<string, LookupAddress[]>() };
  return async (host) => {
    const version = await versionOf(path);
    if (version !== known.version) known = { version, hosts: parseHosts(await textOf(path)) };
    return known.hosts.get(bare(host)) ?? [];
  };
}

/** By name in lower case, the addresses in the order of the lines. */
export function parseHosts(text: string): Map<string, LookupAddress[]> {
  const hosts = new Map<string, LookupAddress[]>();
  for (const line of text.split("\n")) {
    const [address = "", ...names] = line.replace(/#.*/s, "").trim().split(/\s+/);
    const family = isIP(address);
    // One with a zone is of this machine's own links.
    if (family === 0 || address.includes("%")) continue;
    for (const name of new Set(names.map(bare))) {
      const before = hosts.get(name);
      if (before === undefined) hosts.set(name, [{ address, family }]);
      else before.push({ address, family });
    }
  }
  return hosts;
}

function bare(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

/** Empty: there is none. */
async function versionOf(path: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  return found === null ? "" : `${found.ino} ${found.size} ${found.mtimeMs}`;
}

function textOf(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
