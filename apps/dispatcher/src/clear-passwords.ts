import { BlockList, isIP } from "node:net";

/** Says whether a password may cross an unencrypted connection to this host, really reached at this address. */
export type MayCrossInClear = (host: string, address: string) => boolean;

/** Loopback addresses, and the hosts and CIDRs of `smtp.plain_auth_hosts`. */
export function passwordsInClear(plainAuthHosts: readonly string[]): MayCrossInClear {
  const names = new Set<string>();
  const ranges = new BlockList();
  ranges.addSubnet("127.0.0.0", 8, "ipv4");
  ranges.addAddress("::1", "ipv6");
  for (const entry of plainAuthHosts) {
    const [address = "", prefix] = entry.split("/");
    if (isIP(address) === 0) names.add(entry.toLowerCase());
    else ranges.addSubnet(address, prefix === undefined ? bits(address) : Number(prefix), family(address));
  }
  return (host, address) =>
    names.has(host.toLowerCase()) || (isIP(address) !== 0 && ranges.check(address, family(address)));
}

function family(address: string): "ipv4" | "ipv6" {
  return isIP(address) === 6 ? "ipv6" : "ipv4";
}

function bits(address: string): number {
  return isIP(address) === 6 ? 128 : 32;
}
