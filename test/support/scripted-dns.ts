/** Preloaded into a process (`node --import`), it answers look-ups of names ending in `.test`. See name-server.ts. */
import dns, { type LookupAddress } from "node:dns";
import { syncBuiltinESMExports } from "node:module";
import { isIP } from "node:net";
import type { NameScript } from "./name-server.ts";

const script: NameScript = JSON.parse(process.env.SCRIPTED_DNS ?? "{}");
const asked = new Map<string, number>();
const real = dns.lookup;

type Callback = (error: Error | null, address?: string | LookupAddress[], family?: number) => void;

function lookup(host: string, ...given: unknown[]): void {
  const name = host.toLowerCase().replace(/\.$/, "");
  if (!name.endsWith(".test")) {
    Reflect.apply(real, dns, [host, ...given]);
    return;
  }
  const done = given.at(-1) as Callback;
  const options = typeof given[0] === "object" ? (given[0] as { all?: boolean }) : {};
  const { answers = [], afterMs = 0, error = "ENOTFOUND" } = script[name] ?? {};
  const count = asked.get(name) ?? 0;
  asked.set(name, count + 1);
  const found = (answers[Math.min(count, answers.length - 1)] ?? []).map((address) => ({
    address,
    family: isIP(address),
  }));
  setTimeout(() => {
    const [first] = found;
    if (first === undefined) done(Object.assign(new Error(`getaddrinfo ${error} ${host}`), { code: error }));
    else if (options.all) done(null, found);
    else done(null, first.address, first.family);
  }, afterMs);
}

dns.lookup = lookup as typeof dns.lookup;
syncBuiltinESMExports();
