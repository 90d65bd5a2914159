import type { LookupAddress } from "node:dns";
import type { LookupFunction } from "node:net";
import { type AddressRule, ForbiddenAddress } from "./address-rule.ts";

/** All addresses of a host; fails as node:dns does. */
export type Lookup = (host: string) => Promise<LookupAddress[]>;

/** For `net.connect`: the addresses of a host that may be reached, or ForbiddenAddress. */
export function permittedLookup(mayReach: AddressRule, lookup: Lookup): LookupFunction {
  const shared = sharing(lookup);
  return (host, { all }, done) => {
    const answer = shared(host).then((addresses) => permitted(mayReach, host, addresses));
    answer.then(
      (addresses) => {
        if (all) done(null, addresses);
        else done(null, addresses[0]!.address, addresses[0]!.family);
      },
      (error) => done(error, []),
    );
  };
}

function permitted(mayReach: AddressRule, host: string, addresses: LookupAddress[]): LookupAddress[] {
  const faults = addresses.map(({ address }) => mayReach(host, address));
  const left = addresses.filter((_, index) => faults[index] === null);
  if (left.length === 0) throw new ForbiddenAddress(host, faults[0] ?? "no address");
  return left;
}

/** Those who want the same host at the same time share the answer. */
function sharing(lookup: Lookup): Lookup {
  const running = new Map<string, Promise<LookupAddress[]>>();
  return (host) => {
    const known = running.get(host);
    if (known !== undefined) return known;
    const answer = lookup(host).finally(() => running.delete(host));
    running.set(host, answer);
    return answer;
  };
}
