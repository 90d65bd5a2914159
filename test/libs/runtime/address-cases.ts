import { type AddressRule, anyButLinkLocal, publicAddressesOnly } from "@async-mail/runtime/egress";

/** One address, or one URL whose host is an address however spelled, and whether the filter lets it through. */
export type AddressCase = {
  /** An http URL, or a bare address as a name server or a socket tells it. */
  from: string;
  allowed: boolean;
  /** Entries of `attachments.allow_hosts`. */
  allowHosts?: string[];
  /** The name that was looked up, where `from` is a bare address. */
  host?: string;
  what: string;
};

/** `unreadable`: the URL names no host at all. `looked up`: it names none by address, so the addresses of that decide. */
export type Verdict = { host: string; allowed: boolean; why: string };

export function judge({ from, allowHosts = [], host }: AddressCase): Verdict {
  return judgeBy(publicAddressesOnly(allowHosts), { from, host });
}

/** By the rule for what an operator lets others name. */
export function judgeClient(one: AddressCase): Verdict {
  return judgeBy(anyButLinkLocal, one);
}

function judgeBy(rule: AddressRule, { from, host }: Pick<AddressCase, "from" | "host">): Verdict {
  const isUrl = from.startsWith("http");
  const named = isUrl ? URL.parse(from)?.hostname.replace(/^\[(.*)\]$/, "$1") : from;
  if (named === undefined) return { host: "-", allowed: false, why: "not a URL" };
  const why = rule(host ?? named, named);
  return { host: named, allowed: why === null, why: why ?? "" };
}

const refused = (what: string, ...from: string[]): AddressCase[] =>
  from.map((one) => ({ from: one, allowed: false, what }));
const allowed = (what: string, ...from: string[]): AddressCase[] =>
  from.map((one) => ({ from: one, allowed: true, what }));
const listed = (allowHosts: string[], what: string, yes: string[], no: string[], host?: string): AddressCase[] => [
  ...allowed(what, ...yes).map((one) => ({ ...one, allowHosts, host })),
  ...refused(what, ...no).map((one) => ({ ...one, allowHosts, host })),
];

export const ADDRESS_CASES: AddressCase[] = [
  ...allowed("public", "http://93.184.216.34/", "8.8.8.8", "172.15.255.255", "172.32.0.1", "100.63.255.255"),
  ...allowed("public", "100.128.0.1", "192.167.255.255", "223.255.255.255", "198.17.255.255", "9.255.255.255"),
  ...allowed("public IPv6", "http://[2606:4700::6810:84e5]/", "2a00:1450:4001::200e", "2001:4860:4860::8888"),
  ...refused("loopback", "http://127.0.0.1/", "http://127.1/", "127.255.255.254", "http://[::1]/"),
  ...refused("loopback, fully spelled", "http://[0:0:0:0:0:0:0:1]/", "http://127.0.0.1./"),
  ...refused("loopback in decimal, hex, octal", "http://2130706433/", "http://0x7f000001/", "http://017700000001/"),
  ...refused("loopback in mixed parts", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.0x0.00.1/"),
  ...refused("loopback percent-encoded", "http://%31%32%37.0.0.1/", "http://127%2e0%2e0%2e1/"),
  ...refused("loopback in full-width and circled digits", "http://１２７.０.０.１/", "http://①②⑦.⓪.⓪.①/"),
  ...refused("loopback with ideographic dots", "http://127。0。0。1/"),
  ...refused("loopback behind a login", "http://files.example@127.0.0.1/", "http://8.8.8.8:80@127.0.0.1/"),
  ...refused("loopback after a backslash", "http:\\\\127.0.0.1\\@files.example/"),
  ...refused("private", "http://10.0.0.1/", "http://10.1/", "172.16.0.1", "172.31.255.255", "192.168.0.1"),
  ...refused("private in decimal and hex", "http://167772161/", "http://0xa000001/", "http://3232235777/"),
  ...refused("link-local", "169.254.0.1", "http://[fe80::1]/", "febf::1"),
  ...refused("with a zone", "fe80::1%eth0", "2606:4700::1%eth0", "::1%lo", "http://[fe80::1%25eth0]/"),
  ...refused("metadata", "http://169.254.169.254/latest/", "http://2852039166/", "http://0xa9fea9fe/"),
  ...refused("metadata", "http://[fd00:ec2::254]/", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
  ...refused("metadata", "169.254.170.2", "http://[fd20:ce::254]/", "http://[::ffff:169.254.169.254]/"),
  ...refused("carrier-grade NAT", "100.64.0.1", "100.127.255.255"),
  ...refused("unspecified", "http://0/", "http://0.0.0.0/", "0.1.2.3", "http://[::]/"),
  ...refused("multicast and broadcast", "224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "ff0e::1"),
  ...refused("reserved", "240.0.0.1", "192.0.0.1", "192.88.99.1", "192.52.193.1", "4000::1", "5f00::1", "e000::1"),
  ...refused("benchmarking", "198.18.0.1", "198.19.255.255", "2001:2::1"),
  ...refused("documentation", "192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"),
  ...refused("discard and site-local", "100::1", "fec0::1", "feff::1"),
  ...refused("unique-local", "http://[fc00::1]/", "fdff:ffff::1"),
  ...refused("IPv4-mapped", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "::ffff:10.0.0.1", "::ffff:0:0"),
  ...allowed("IPv4-mapped of a public one", "http://[::ffff:8.8.8.8]/", "::ffff:808:808"),
  ...refused("IPv4-compatible and IPv4-translated", "::127.0.0.1", "::8.8.8.8", "::ffff:0:127.0.0.1"),
  ...refused("NAT64", "http://[64:ff9b::127.0.0.1]/", "64:ff9b::a00:1", "64:ff9b::169.254.169.254"),
  ...allowed("NAT64 of a public one", "http://[64:ff9b::8.8.8.8]/"),
  ...refused("local NAT64, last place", "64:ff9b:1::10.0.0.1", "64:ff9b:1:fffe::808:808"),
  ...refused("local NAT64, other places", "64:ff9b:1:a00:0:100::", "64:ff9b:1:a:0:1::", "64:ff9b:1:0:a:0:800:0"),
  ...refused("local NAT64, other places", "64:ff9b:1:a00:0:100:808:808"),
  ...allowed("local NAT64 of a public one", "64:ff9b:1::8.8.8.8"),
  ...refused("Teredo and 6to4", "2001::1", "2001:0:4136:e378::1", "2002:7f00:1::1", "2002:808:808::1"),
  ...refused("no address", "", "localhost", "127.1", "0x7f.0.0.1", "8.8.8.8.", "8.8.8.8/8", "[::1]", "1.2.3"),
  ...listed(["10.1.0.0/16"], "a network listed", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3"], ["10.2.0.1"]),
  ...listed(["169.254.169.254"], "an address listed", ["169.254.169.254"], ["169.254.169.253"]),
  ...listed(["fd12::/16"], "an IPv6 network listed", ["http://[fd12::5]/"], ["fd13::5", "10.0.0.1"]),
  ...listed(["::ffff:10.0.0.0/104"], "a mapped network listed", ["10.2.3.4"], ["11.0.0.1.", "192.168.0.1"]),
  ...listed(["0.0.0.0/0"], "all of IPv4 listed", ["10.2.3.4", "::ffff:127.0.0.1"], ["::1", "fd12::1"]),
  ...listed(
    ["Files.LAN"],
    "a name listed: private ones only",
    ["10.0.0.1", "127.0.0.1", "fd12::1", "100.64.0.1", "8.8.8.8", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1"],
    ["169.254.169.254", "169.254.1.1", "100.100.100.200", "fd00:ec2::254", "168.63.129.16", "224.0.0.1", "0.0.0.0"],
    "files.lan.",
  ),
  ...listed(["Files.LAN"], "a name listed: private ones only", [], ["fe80::1", "::", "192.0.2.1"], "files.lan"),
  ...listed(["files.lan"], "another name", [], ["10.0.0.1"], "sub.files.lan"),
  ...listed(["files.lan"], "another name", [], ["10.0.0.1"], "files.lan.example"),
];

/** Of the rule for tenants' clients, mail servers and the like. */
export const CLIENT_CASES: AddressCase[] = [
  ...allowed("public", "http://93.184.216.34/", "8.8.8.8", "http://[2606:4700::6810:84e5]/"),
  ...allowed("loopback", "http://127.0.0.1/", "http://2130706433/", "127.255.255.254", "http://[::1]/"),
  ...allowed("private", "http://10.0.0.1/", "172.16.0.1", "192.168.0.1", "fd12::1", "100.64.0.1"),
  ...allowed("IPv4-mapped of a private one", "http://[::ffff:10.0.0.1]/", "::ffff:7f00:1"),
  ...allowed("NAT64 of a private one", "64:ff9b::10.0.0.1", "64:ff9b:1::10.0.0.1"),
  ...refused("link-local", "169.254.0.1", "http://169.254.255.255/", "http://[fe80::1]/", "febf::1"),
  ...refused("link-local, IPv4-mapped", "::ffff:169.254.0.1", "http://[::ffff:a9fe:1]/"),
  ...refused(
    "link-local behind NAT64",
    "64:ff9b::169.254.0.1",
    "64:ff9b:1::169.254.0.1",
    "64:ff9b:1:a9fe:0:100:808:808",
  ),
  ...refused("with a zone", "fe80::1%eth0", "::1%lo", "http://[fe80::1%25eth0]/"),
  ...refused("metadata", "http://169.254.169.254/latest/", "http://2852039166/", "http://0xa9fea9fe/"),
  ...refused("metadata", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
  ...refused("metadata of IPv6", "http://[fd00:ec2::254]/", "fd20:ce::254", "fd00:42:0::42"),
  ...refused("metadata, IPv4-mapped and behind NAT64", "::ffff:168.63.129.16", "64:ff9b::100.100.100.200"),
  ...refused("unspecified", "http://0/", "0.1.2.3", "http://[::]/", "::ffff:0:0", "64:ff9b::"),
  ...refused("multicast and broadcast", "224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "ff0e::1"),
  ...refused("multicast and broadcast behind NAT64", "64:ff9b::224.0.0.1", "64:ff9b::255.255.255.255"),
  ...refused("no address", "", "localhost", "127.1", "10.0.0.1.", "10.0.0.1/8", "[::1]"),
];
