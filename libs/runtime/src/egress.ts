import { isIP, type LookupFunction } from "node:net";
import { Agent, buildConnector, type Dispatcher } from "undici";
import { type AddressRule, ForbiddenAddress } from "./address-rule.ts";
import { type Lookup, permittedLookup } from "./permitted-lookup.ts";
import { systemLookup } from "./system-lookup.ts";

export { type AddressRule, ForbiddenAddress } from "./address-rule.ts";
export { anyButLinkLocal, publicAddressesOnly } from "./public-addresses.ts";

export type EgressOptions = {
  mayReach: AddressRule;
  /** For DNS, TCP and TLS together. */
  connectTimeoutMs: number;
  connectionsPerOrigin: number;
  /** Absent: the system's. */
  lookup?: Lookup;
};

/** Short: a connection that the server closes while it is being used again would look like a failure. */
const KEEP_ALIVE_MS = 1000;

/**
 * HTTP/1.1 to addresses that others name: only where `mayReach` allows, by the address really connected to. Requests
 * fail with ForbiddenAddress. It knows no proxies, follows no redirects, and its time ends with the request's signal.
 */
export function createEgress({
  mayReach,
  connectTimeoutMs,
  connectionsPerOrigin,
  lookup = systemLookup({ patienceMs: connectTimeoutMs }),
}: EgressOptions): Dispatcher {
  return new Agent({
    connections: connectionsPerOrigin,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    headersTimeout: 0,
    bodyTimeout: 0,
    allowH2: false,
    connect: connector(mayReach, lookup, connectTimeoutMs),
  });
}

function connector(mayReach: AddressRule, lookup: Lookup, timeoutMs: number): buildConnector.connector {
  const connect = buildConnector({
    timeout: timeoutMs,
    allowH2: false,
    rejectUnauthorized: true,
    lookup: permittedLookup(mayReach, lookup),
  });
  return (options, done) => {
    const host = options.hostname;
    // Addresses are connected to without any lookup.
    const fault = isIP(host) === 0 ? null : mayReach(host, host);
    if (fault !== null) return process.nextTick(done, new ForbiddenAddress(host, fault), null);
    connect(options, (...[error, socket]) => {
      if (error) return done(error, null);
      const failure = failureAt(mayReach, host, socket.remoteAddress);
      if (failure === null) return done(null, socket);
      socket.destroy();
      done(failure, null);
    });
  };
}

/** Without an address it is connected no more. */
function failureAt(mayReach: AddressRule, host: string, address: string | undefined): Error | null {
  if (address === undefined) return Object.assign(new Error("connection closed"), { code: "ECONNRESET" });
  const fault = mayReach(host, address);
  return fault === null ? null : new ForbiddenAddress(host, fault);
}

/** For `net.connect` to where the operator wants it: any address, found as those of the others are. */
export function freeLookup(patienceMs: number): LookupFunction {
  return permittedLookup(() => null, systemLookup({ patienceMs }));
}
