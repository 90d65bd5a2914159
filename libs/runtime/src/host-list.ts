import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import ipaddr from "ipaddr.js";

/** The hosts and networks of a setting of kind `hosts`. */
export type HostList = {
  /** True for a host that stands there by its name, wherever that leads; in any case, with or without the last dot. */
  names(host: string): boolean;
  /** True for an IP address that stands there, or lies in a network there; IPv4-mapped ones are the IPv4 address. */
  holds(address: string): boolean;
};

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Network = { base: Address; bits: number };

/** Of entries that the setting's kind has checked. */
export function createHostList(entries: readonly string[]): HostList {
  const names = new Set<string>();
  const networks: Network[] = [];
  for (const entry of entries) {
    const network = toNetwork(entry);
    if (network === null) names.add(toName(entry));
    else networks.push(network);
  }
  return {
    names: (host) => names.has(toName(host)),
    holds(address) {
      const parsed = parseAddress(address);
      return parsed !== null && networks.some((network) => contains(network, parsed));
    },
  };
}

/** Null for what is no address as it is always written, and for one with a zone, which means something here only. */
export function parseAddress(text: string): Address | null {
  if (isIP(text) === 0 || text.includes("%")) return null;
  return ipaddr.process(isIP(text) === 6 ? inHex(text) : text);
}

/** As URLs spell it: the library takes `::8.8.8.8` for an IPv4-mapped address, which it is not. */
function inHex(text: string): string {
  return new URL(`http://[${text}]`).hostname.slice(1, -1);
}

function toNetwork(entry: string): Network | null {
  const [address = "", prefix] = entry.split("/");
  const base = parseAddress(address);
  if (base === null) return null;
  const longest = base.kind() === "ipv4" ? 32 : 128;
  // Of an IPv4-mapped one the first 96 bits say only that.
  const aside = isIP(address) === 6 && longest === 32 ? 96 : 0;
  return { base, bits: prefix === undefined ? longest : Math.max(0, Number(prefix) - aside) };
}

function contains({ base, bits }: Network, address: Address): boolean {
  return base.kind() === address.kind() && address.match(base, bits);
}

/** As URLs spell it, so that `Bücher.example.` and `xn--bcher-kva.example` are one host. */
function toName(host: string): string {
  return (domainToASCII(host) || host.toLowerCase()).replace(/\.$/, "");
}
