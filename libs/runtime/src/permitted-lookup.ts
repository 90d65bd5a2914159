import dns, { type LookupAddress } from "node:dns";
import type { LookupFunction } from "node:net";
import { type AddressRule, ForbiddenAddress } from "./address-rule.ts";

/** All addresses of a host; fails as node:dns does. */
export type Lookup = (host: string) => Promise<LookupAddress[]>;

export type PermittedLookupOptions = {
  mayReach: AddressRule;
  lookup: Lookup;
  /** Whoever has waited so long has given up, and is not looked up any more. */
  patienceMs: number;
};

/** getaddrinfo runs on the four threads that also read and write files; slow name servers must leave some to them. */
const LOOKUPS_AT_ONCE = 2;

/** For `net.connect`: the addresses of a host that may be reached, or ForbiddenAddress. */
export function permittedLookup({ mayReach, lookup, patienceMs }: PermittedLookupOptions): LookupFunction {
  const inTurn = taking(lookup, patienceMs);
  return (host, { all }, done) => {
    const answer = inTurn(host).then((addresses) => permitted(mayReach, host, addresses));
    answer.then(
      (addresses) => {
        if (all) done(null, addresses);
        else done(null, addresses[0]!.address, addresses[0]!.family);
      },
      (error) => done(error, []),
    );
  };
}

export const systemLookup: Lookup = (host) =>
  new Promise((resolve, reject) => {
    dns.lookup(host, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses)));
  });

function permitted(mayReach: AddressRule, host: string, addresses: LookupAddress[]): LookupAddress[] {
  const faults = addresses.map(({ address }) => mayReach(host, address));
  const left = addresses.filter((_, index) => faults[index] === null);
  if (left.length === 0) throw new ForbiddenAddress(host, faults[0] ?? "no address");
  return left;
}

type Wanted = { untilMs: number; answer: Promise<LookupAddress[]> };

/** A few at a time; those who want the same host meanwhile share the answer. */
function taking(lookup: Lookup, patienceMs: number): Lookup {
  const wanted = new Map<string, Wanted>();
  const waiting: (() => void)[] = [];
  let running = 0;

  async function answer(host: string): Promise<LookupAddress[]> {
    if (running >= LOOKUPS_AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      if (performance.now() > wanted.get(host)!.untilMs) throw new Error(`${host}: not looked up in time`);
      return await lookup(host);
    } finally {
      wanted.delete(host);
      const next = waiting.shift();
      // The turn is handed on, so that nobody new comes between.
      if (next === undefined) running -= 1;
      else next();
    }
  }

  return (host) => {
    const untilMs = performance.now() + patienceMs;
    const known = wanted.get(host);
    if (known !== undefined) {
      known.untilMs = untilMs;
      return known.answer;
    }
    // It stands there before the first line of `answer` can look for it.
    const entry: Wanted = { untilMs, answer: Promise.resolve().then(() => answer(host)) };
    wanted.set(host, entry);
    return entry.answer;
  };
}
