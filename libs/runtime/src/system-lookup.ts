import dns, { type LookupAddress } from "node:dns";
import { hostsFile } from "./hosts-file.ts";
import type { Lookup } from "./permitted-lookup.ts";

export type SystemLookupOptions = {
  /** Whoever has waited so long has given up. */
  patienceMs: number;
  /** Name servers, `address:port`; absent: the system's. */
  servers?: string[];
  /** Absent: /etc/hosts. */
  hostsPath?: string;
  /** Asked for names that no name server knows; absent: the system's own look-up. */
  lastResort?: Lookup;
};

/** getaddrinfo runs on the four threads that also read and write files; slow name servers must leave some to them. */
const LAST_RESORTS_AT_ONCE = 2;
/** Of one question to one server. */
const ANSWER_MS = 2000;
const TRIES = 2;
/** That there is no such name, or no address of that family, or nobody who could know. */
const UNKNOWN = ["ENOTFOUND", "ENODATA", "EBADNAME", "ECONNREFUSED"];

/**
 * Addresses of a host as the system knows them: from its hosts file, else from its name servers, any number of names at a
 * time, so that none waits for another's dead servers; and what these do not know (a name in the search domains or of the
 * local network, RFC 6762) by getaddrinfo, a few at a time. IPv4 comes first.
 */
export function systemLookup(options: SystemLookupOptions): Lookup {
  const { patienceMs, servers, hostsPath = "/etc/hosts", lastResort = getaddrinfo } = options;
  const inHosts = hostsFile(hostsPath);
  const inTurn = taking(lastResort, patienceMs);
  return async (host) => {
    const written = await inHosts(host);
    if (written.length > 0) return written;
    if (/(^|\.)localhost\.?$/i.test(host)) return LOOPBACK;
    return (await asked(host, patienceMs / 2, servers)) ?? (await inTurn(host));
  };
}

/** RFC 6761 §6.3: no name server is asked for it. */
const LOOPBACK: LookupAddress[] = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
];

const getaddrinfo: Lookup = (host) =>
  new Promise((resolve, reject) => {
    dns.lookup(host, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses)));
  });

/** Null: the name servers know no such name. One family's addresses are enough, whatever becomes of the other's. */
async function asked(host: string, limitMs: number, servers?: string[]): Promise<LookupAddress[] | null> {
  // Each reads anew which servers the system has.
  const resolver = new dns.promises.Resolver({ timeout: ANSWER_MS, tries: TRIES });
  if (servers !== undefined) resolver.setServers(servers);
  const limit = setTimeout(() => resolver.cancel(), limitMs);
  const [four, six] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
  clearTimeout(limit);
  const found = [...addressesIn(four, 4), ...addressesIn(six, 6)];
  if (found.length > 0) return found;
  const fault = [four, six].flatMap((one) => (one.status === "rejected" ? one.reason : [])).find(isFault);
  if (fault === undefined) return null;
  throw fault.code === "ECANCELLED" ? Object.assign(new Error(`${host}: no answer`), { code: "ETIMEOUT" }) : fault;
}

function addressesIn(answer: PromiseSettledResult<string[]>, family: 4 | 6): LookupAddress[] {
  return answer.status === "fulfilled" ? answer.value.map((address) => ({ address, family })) : [];
}

function isFault({ code = "" }: NodeJS.ErrnoException): boolean {
  return !UNKNOWN.includes(code);
}

/** A few at a time; who has waited too long is not looked up any more. */
function taking(lookup: Lookup, patienceMs: number): Lookup {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (host) => {
    const untilMs = performance.now() + patienceMs;
    if (running >= LAST_RESORTS_AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      if (performance.now() > untilMs) throw new Error(`${host}: not looked up in time`);
      return await lookup(host);
    } finally {
      const next = waiting.shift();
      // The turn is handed on, so that nobody new comes between.
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
