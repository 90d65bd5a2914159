import type { Guard } from "../guard.ts";

const EGRESS = "libs/runtime/src/egress.ts";
const RULE = "libs/runtime/src/public-addresses.ts";
const PERMITTED = "libs/runtime/src/permitted-lookup.ts";
const LOOKUP = "libs/runtime/src/system-lookup.ts";
const LOOKUP_TEST = "test/libs/runtime/system-lookup.test.ts";
const HOPS = "apps/dispatcher/src/attachments/url-hops.ts";
const ANSWER = "apps/dispatcher/src/attachments/url-answer.ts";
const BODY = "apps/dispatcher/src/attachments/url-body.ts";
const FETCH = "apps/dispatcher/src/attachments/fetch-url.ts";
const FETCHER = "apps/dispatcher/src/attachments/fetcher.ts";
const FETCHER_TEST = "test/apps/dispatcher/attachments/fetcher.test.ts";
const CACHE = "apps/dispatcher/src/attachments/cache.ts";
const CACHE_TEST = "test/apps/dispatcher/attachments/cache.test.ts";
const EGRESS_TEST = "test/libs/runtime/egress.test.ts";
const FETCH_TEST = "test/apps/dispatcher/attachments/fetch-url.test.ts";

/** What keeps URLs of clients from harming anybody. */
export const FETCHING: Guard[] = [
  {
    guard: "egress: addresses in URLs are checked, which no look-up sees",
    file: EGRESS,
    code: "isIP(host) === 0 ? null : mayReach(host, host)",
    without: "isIP(host) === 0 ? null : null",
    test: EGRESS_TEST,
    fails: "to an allowed address is made, and to others not, however the URL spells them",
  },
  {
    guard: "egress: the address of the connection is checked once more",
    file: EGRESS,
    code: "const fault = mayReach(host, address);",
    without: "const fault = null as string | null;",
    test: EGRESS_TEST,
    fails: "is looked at once more when it stands",
  },
  {
    guard: "egress: a name leads to its allowed addresses only",
    file: PERMITTED,
    code: "filter((_, index) => faults[index] === null)",
    without: "filter(() => true)",
    test: EGRESS_TEST,
    fails: "to a name is made to its allowed addresses only",
  },
  {
    guard: "egress: names are asked for without the threads that read and write files",
    file: LOOKUP,
    code: "(await asked(host, patienceMs / 2, servers)) ?? (await inTurn(host))",
    without: "await inTurn(host)",
    test: LOOKUP_TEST,
    fails: "whose servers are dead delays no other",
  },
  {
    guard: "egress: few look-ups at a time on the threads that read and write files",
    file: LOOKUP,
    code: "if (running >= LAST_RESORTS_AT_ONCE) await",
    without: "if (running >= 100) await",
    test: LOOKUP_TEST,
    fails: "run two at a time",
  },
  {
    guard: "egress: look-ups that nobody waits for are not made",
    file: LOOKUP,
    code: "if (performance.now() > untilMs)",
    without: "if (performance.now() < 0)",
    test: LOOKUP_TEST,
    fails: "that nobody waits for any more are not made",
  },
  {
    guard: "egress: name servers have so long and no longer",
    file: LOOKUP,
    code: "setTimeout(() => resolver.cancel(), limitMs)",
    without: "setTimeout(() => {}, limitMs)",
    test: LOOKUP_TEST,
    fails: "whose servers do not answer, or cannot, fails for that",
  },
  {
    guard: "address: metadata stays forbidden to names",
    file: RULE,
    code: 'metadata.holds(address) ? "metadata" : rangeOf(parsed)',
    without: "rangeOf(parsed)",
    test: EGRESS_TEST,
    fails: "the address filter",
  },
  {
    guard: "address: of IPv6 only what is given out",
    file: RULE,
    code: 'range === "unicast" && !givenOut',
    without: 'range === "nothing" && !givenOut',
    test: EGRESS_TEST,
    fails: "the address filter",
  },
  {
    guard: "address: the IPv4 address behind NAT64",
    file: RULE,
    code: "if (inside.length > 0) return",
    without: "if (inside.length > 0) return null; else if (inside.length > 0) return",
    test: EGRESS_TEST,
    fails: "the address filter",
  },
  {
    guard: "url: no redirect from https to http",
    file: HOPS,
    code: 'if (from.protocol === "https:" && url.protocol === "http:")',
    without: 'if (from.protocol === "never:" && url.protocol === "http:")',
    test: FETCH_TEST,
    fails: "is verified, and not left by a redirect",
  },
  {
    guard: "url: a login stays in its origin",
    file: HOPS,
    code: "login?.origin === url.origin ? login : null",
    without: "login",
    test: FETCH_TEST,
    fails: "goes to no other origin, not even on the way back",
  },
  {
    guard: "url: redirects end",
    file: HOPS,
    code: "if (seen.length > MOST_REDIRECTS)",
    without: "if (seen.length > 1000)",
    test: FETCH_TEST,
    fails: "is followed five times, and not six",
  },
  {
    guard: "url: a loop ends at once",
    file: HOPS,
    code: "if (seen.includes(identity(url)))",
    without: 'if (seen.includes(""))',
    test: FETCH_TEST,
    fails: "in a loop is refused",
  },
  {
    guard: "url: behind a redirect nothing is thought unchanged",
    file: FETCH,
    code: "openAt(next, null, signal)",
    without: "openAt(next, known, signal)",
    test: FETCH_TEST,
    fails: "is asked for anew behind a redirect, which may lead to another file",
  },
  {
    guard: "url: the time ends also what waits for its connection",
    file: FETCH,
    code: "Promise.race([asked, aborted.promise])",
    without: "Promise.race([asked])",
    test: FETCH_TEST,
    fails: "in time ends it at once, wherever it stands",
  },
  {
    guard: "url: unwanted answers hold no connection",
    file: FETCH,
    code: "    dismiss(body);",
    without: "",
    test: FETCH_TEST,
    fails: "that nobody wants holds no connection",
  },
  {
    guard: "url: whoever returns a body unread closes its connection",
    file: BODY,
    code: "          wire.destroy();",
    without: "",
    test: FETCH_TEST,
    fails: "that nobody wants holds no connection",
  },
  {
    guard: "url: nothing is decoded before somebody hears of its failure",
    file: BODY,
    code: "async function* decode(source: Bytes, name: string): AsyncGenerator<Uint8Array, void> {",
    without: `function decode(source: Bytes, name: string): Bytes {
  return pipeline(Readable.from(source), decoderOf(name, new Uint8Array()), () => {});
}
export async function* once(source: Bytes, name: string): AsyncGenerator<Uint8Array, void> {`,
    test: FETCH_TEST,
    fails: "that fails before anybody reads it fails only then, and for nobody else",
  },
  {
    guard: "url: of nothing every encoding is nothing",
    file: BODY,
    code: "if (first.done) return;",
    without: "if (first.done) first.value = new Uint8Array() as never;",
    test: FETCH_TEST,
    fails: "that is empty is an empty file, with a length and without",
  },
  {
    guard: "url: a file that is gzip by itself stays it",
    file: ANSWER,
    code: "isGzipFile(encodings, urls) ? [] : encodings",
    without: "encodings",
    test: FETCH_TEST,
    fails: "of a file that is gzip by itself is the file",
  },
  {
    guard: "url: bytes are counted as they come",
    file: BODY,
    code: "if (bytes > maxBytes) throw",
    without: "if (bytes > 10 * maxBytes) throw",
    test: FETCH_TEST,
    fails: "too large is refused: before it is read where it says so, else when it is",
  },
  {
    guard: "url: an announced size is refused before it is read",
    file: ANSWER,
    code: "if (wireBytes !== null && wireBytes > maxBytes)",
    without: "if (wireBytes !== null && wireBytes < 0)",
    test: FETCH_TEST,
    fails: "too large is refused: before it is read where it says so, else when it is",
  },
  {
    guard: "url: a version as fresh as the answer tells nothing",
    file: ANSWER,
    code: 'isFresh ? "" : modified',
    without: "modified",
    test: FETCH_TEST,
    fails: "has no version that a header could not carry, nor one as fresh as the answer",
  },
  {
    guard: "cache: what was asked for before a message was accepted is asked for again",
    file: FETCHER,
    code: "entry.askedMs >= sinceMs ||",
    without: "entry.askedMs >= 0 ||",
    test: FETCHER_TEST,
    fails: "does not ask again for a message that was accepted before, however late it comes",
  },
  {
    guard: "cache: what is under way serves no message that was accepted later",
    file: FETCHER,
    code: "running.begunMs >= sinceMs",
    without: "running.begunMs >= 0",
    test: FETCHER_TEST,
    fails: "asks anew for a message that was accepted after the others' request began",
  },
  {
    guard: "cache: nothing from the future is believed",
    file: FETCHER,
    code: "entry.askedMs > now()",
    without: "entry.askedMs > Number.POSITIVE_INFINITY",
    test: FETCHER_TEST,
    fails: "believes nothing that was asked for in the future: the clock was set back",
  },
  {
    guard: "fetch: the bytes are counted, whatever was declared",
    file: FETCHER,
    code: "if (bytes > maxBytes) throw new SourceRefused(tooManyBytes(null, maxBytes));",
    without: "",
    test: FETCHER_TEST,
    fails: "fetches nothing that is larger than it may be, whatever its server says",
  },
  {
    guard: "cache: what was written before a reboot is not believed",
    file: CACHE,
    code: "if (found.boot !== bootId) return null;",
    without: "",
    test: CACHE_TEST,
    fails: "is the same for another dispatcher, and is not believed after a reboot: it was never synced",
  },
  {
    guard: "body: a file that became shorter ends the message unsent",
    file: "apps/dispatcher/src/message-body.ts",
    code: 'if (bytesRead === 0) throw new UnreadableFile("an attachment\'s file has become shorter");',
    without: "if (bytesRead === 0) break;",
    test: "test/apps/dispatcher/message-body.test.ts",
    fails: "fails when a file has become shorter, and never ends then",
  },
  {
    guard: "cache: a file that was replaced is not taken for the one that was fetched",
    file: CACHE,
    code: "if (found.entry.id === id) return found.handle;",
    without: "if (found.entry.path === path) return found.handle;",
    test: CACHE_TEST,
    fails: "never hands out another file than the one that was fetched, even where that was replaced",
  },
];
