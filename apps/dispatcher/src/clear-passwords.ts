import { createHostList } from "@async-mail/runtime/host-list";

/** Says whether a password may cross an unencrypted connection to this host, really reached at this address. */
export type MayCrossInClear = (host: string, address: string) => boolean;

/** Loopback addresses, and the hosts and CIDRs of `smtp.plain_auth_hosts`. */
export function passwordsInClear(plainAuthHosts: readonly string[]): MayCrossInClear {
  const allowed = createHostList(["127.0.0.0/8", "::1", ...plainAuthHosts]);
  return (host, address) => allowed.names(host) || allowed.holds(address);
}
