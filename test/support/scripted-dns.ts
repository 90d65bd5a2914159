/** Preloaded into a process (`node --import`), it answers look-ups of names ending in `.test`. See name-server.ts. */
import dns, { type LookupAddress } from "node:dns";
import { syncBuiltinESMExports } from "node:module";
import { isIP } from "node:net";
import type { NameScript } from "./name-server.ts";

const script: NameScript = JSON.parse(process.env.SCRIPTED_DNS ?? "{}");
const asked = new Map<string, number>();
const real = dns.lookup;

type Callback = (error: Error | null, address?: string | LookupAddress[], family?: number) => void;
type Scripted = { found: string[]; afterMs: number; error: string };

/** What the next question of that `kind` for the name gets; null: the name is not ours. */
function scripted(host: string, kind: string): Scripted | null {
  const name = host.toLowerCase().replace(/\.$/, "");
  if (!name.endsWith(".test")) return null;
  const { answers = [], afterMs = 0, error = "ENOTFOUND" } = script[name] ?? {};
  const count = asked.get(`${kind} ${name}`) ?? 0;
  asked.set(`${kind} ${name}`, count + 1);
  return { found: answers[Math.min(count, answers.length - 1)] ?? [], afterMs, error };
}

function failure(call: string, code: string, host: string): Error {
  return Object.assign(new Error(`${call} ${code} ${host}`), { code });
}

function lookup(host: string, ...given: unknown[]): void {
  const answer = scripted(host, "getaddrinfo");
  if (answer === null) {
    Reflect.apply(real, dns, [host, ...given]);
    return;
  }
  const done = given.at(-1) as Callback;
  const options = typeof given[0] === "object" ? (given[0] as { all?: boolean }) : {};
  const found = answer.found.map((address) => ({ address, family: isIP(address) }));
  setTimeout(() => {
    const [first] = found;
    if (first === undefined) done(failure("getaddrinfo", answer.error, host));
    else if (options.all) done(null, found);
    else done(null, first.address, first.family);
  }, answer.afterMs);
}

dns.lookup = lookup as typeof dns.lookup;
syncBuiltinESMExports();

/** Name servers are asked for each family by itself. */
const { Resolver } = dns.promises;
for (const [method, family] of [
  ["resolve4", 4],
  ["resolve6", 6],
] as const) {
  const ask = Resolver.prototype[method] as (host: string, ...given: unknown[]) => Promise<unknown>;
  const scriptedAsk = async function (this: unknown, host: string, ...given: unknown[]) {
    const answer = scripted(host, method);
    if (answer === null) return Reflect.apply(ask, this, [host, ...given]);
    await new Promise((resolve) => setTimeout(resolve, answer.afterMs));
    const found = answer.found.filter((address) => isIP(address) === family);
    if (found.length === 0) throw failure(method, answer.found.length > 0 ? "ENODATA" : answer.error, host);
    return found;
  };
  Object.assign(Resolver.prototype, { [method]: scriptedAsk });
}
