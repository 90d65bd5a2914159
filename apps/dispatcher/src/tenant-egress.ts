import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import type { Account } from "@async-mail/domain/account";
import { anyButLinkLocal } from "@async-mail/runtime/egress";
import { createHostList, parseAddress } from "@async-mail/runtime/host-list";
import { systemLookup } from "@async-mail/runtime/system-lookup";
import { CannotOpen } from "./opening-failure.ts";

/** Where to connect for an account of a tenant: an address of its host that tenants may use. Throws CannotOpen. */
export type TenantEgress = (account: Pick<Account, "host" | "port">) => Promise<string>;

export type TenantEgressOptions = {
  /** The setting `smtp.tenant_hosts`; empty: any. */
  tenantHosts: readonly string[];
  /** On which this service listens itself. */
  ownPorts: readonly number[];
  /** Of one look-up. */
  patienceMs: number;
};

/**
 * The name is looked up here, and the address that was looked at is the one connected to: asked again, a name server may
 * answer otherwise.
 */
export function tenantEgress({ tenantHosts, ownPorts, patienceMs }: TenantEgressOptions): TenantEgress {
  const lookup = systemLookup({ patienceMs });
  const allowed = createHostList(tenantHosts);

  function whyNot({ host, port }: Pick<Account, "host" | "port">, address: string): string | null {
    const forbidden = anyButLinkLocal(host, address);
    if (forbidden !== null) return forbidden;
    if (ownPorts.includes(port) && isOurs(address)) return "a port of this service";
    if (tenantHosts.length === 0 || allowed.names(host) || allowed.holds(address)) return null;
    return "not in smtp.tenant_hosts";
  }

  return async (account) => {
    const { host, port } = account;
    const addresses = isIP(host) === 0 ? await lookedUp() : [host];
    const faults = addresses.map((address) => whyNot(account, address));
    const found = addresses.find((_, index) => faults[index] === null);
    if (found !== undefined) return found;
    const reason = `${host}:${port}: tenants may not send there (${faults[0] ?? "no address"})`;
    throw new CannotOpen({ kind: "unreachable", stage: "connect", reason });

    async function lookedUp(): Promise<string[]> {
      try {
        return (await lookup(host)).map(({ address }) => address);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        const reason = `${host}:${port}: the host's name has no address${code ? ` (${code})` : ""}`;
        throw new CannotOpen({ kind: "unreachable", stage: "dns", reason });
      }
    }
  };
}

/** Loopback, or one that this machine has now. */
function isOurs(address: string): boolean {
  const asked = parseAddress(address);
  if (asked === null || asked.range() === "loopback") return true;
  const all = Object.values(networkInterfaces()).flatMap((one) => one ?? []);
  return all.some((one) => parseAddress(one.address)?.toString() === asked.toString());
}
