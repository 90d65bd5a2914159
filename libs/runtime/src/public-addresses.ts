import type ipaddr from "ipaddr.js";
import type { AddressRule } from "./address-rule.ts";
import { createHostList, parseAddress } from "./host-list.ts";

/** Where clouds tell their machines secrets; some look public, some private. */
const metadata = createHostList([
  "169.254.169.254",
  "169.254.170.2",
  "100.100.100.200",
  "168.63.129.16",
  "192.0.0.192",
  "fd00:ec2::254",
  "fd00:ec2::23",
  "fd20:ce::254",
  "fd00:42::42",
]);

/** What a host may have that is allowed by its name; everything else only an address can allow. */
const INTERNAL = new Set(["loopback", "private", "uniqueLocal", "carrierGradeNat"]);

/** Ranges by the library's names; those not here are reserved for something. */
const WORDS: Record<string, string> = {
  loopback: "a loopback address",
  private: "a private address",
  uniqueLocal: "a private address",
  carrierGradeNat: "an address inside a carrier's network",
  linkLocal: "a link-local address",
  deprecatedSiteLocal: "a site-local address",
  multicast: "a multicast address",
  broadcast: "the broadcast address",
  unspecified: "the unspecified address",
  metadata: "a cloud's metadata address",
  teredo: "a Teredo address",
  "6to4": "a 6to4 address",
};

/**
 * Public unicast addresses (IANA's special-purpose registries, RFC 6890), and what `allowHosts` adds: an address or
 * network there is allowed as it is; a name there may have loopback and private addresses.
 */
export function publicAddressesOnly(allowHosts: readonly string[]): AddressRule {
  const allowed = createHostList(allowHosts);
  const rule: AddressRule = (host, address) => {
    if (allowed.holds(address)) return null;
    const parsed = parseAddress(address);
    if (parsed === null) return "not an address";
    const inside = parsed.range() === "rfc6052" ? behindNat64(parsed as ipaddr.IPv6) : [];
    if (inside.length > 0) return inside.map((one) => rule(host, one)).find((why) => why !== null) ?? null;
    const range = metadata.holds(address) ? "metadata" : rangeOf(parsed);
    if (range === "unicast" || (INTERNAL.has(range) && allowed.names(host))) return null;
    return WORDS[range] ?? "a reserved address";
  };
  return rule;
}

/** Where nobody's mail, file or report belongs, wherever an operator has his own. */
const NOBODYS = new Set([
  "metadata",
  "linkLocal",
  "multicast",
  "broadcast",
  "unspecified",
  "teredo",
  "6to4",
  "rfc6145",
  "deprecatedSiteLocal",
]);

/** For what an operator lets others name: any address, private ones too, but no link-local one and no cloud's metadata. */
export const anyButLinkLocal: AddressRule = (host, address) => {
  const parsed = parseAddress(address);
  // A zone is that of a link.
  if (parsed === null) return "not an address that can be connected to from everywhere";
  const inside = parsed.range() === "rfc6052" ? behindNat64(parsed as ipaddr.IPv6) : [];
  const within = inside.map((one) => anyButLinkLocal(host, one)).find((why) => why !== null);
  if (within !== undefined) return within;
  const range = metadata.holds(address) ? "metadata" : parsed.range();
  return NOBODYS.has(range) ? (WORDS[range] ?? "a reserved address") : null;
};

function rangeOf(address: ipaddr.IPv4 | ipaddr.IPv6): string {
  const range = address.range();
  // Of IPv6 only 2000::/3 is given out; among the rest are the old IPv4-compatible addresses.
  const givenOut = address.kind() === "ipv4" || (address.toByteArray()[0]! & 0xe0) === 0x20;
  return range === "unicast" && !givenOut ? "reserved" : range;
}

/**
 * The IPv4 addresses that a translator may read out of a NAT64 address (RFC 6052 §2.2). Under 64:ff9b:1::/48 (RFC 8215)
 * the operator chooses where it stands, so every place counts, save those that hold nothing but the padding of others.
 */
function behindNat64(address: ipaddr.IPv6): string[] {
  const bytes = address.toByteArray();
  const at = (...places: number[]) => places.map((place) => bytes[place]).join(".");
  const last = at(12, 13, 14, 15);
  const isLocalUse = bytes[5] === 1;
  if (!isLocalUse) return [last];
  const others = [at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12)];
  return [last, ...others.filter((one) => !one.startsWith("0."))];
}
