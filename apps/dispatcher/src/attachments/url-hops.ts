import type { SourceFailure } from "./remote-source.ts";
import { refused } from "./url-failure.ts";

/** One of the addresses on the way to a file. */
export type Hop = {
  url: URL;
  /** The URL that was asked for, the only one that reasons may name. */
  first: URL;
  /** A value for Authorization, and the one origin it may be sent to. */
  login: { origin: string; basic: string } | null;
  /** Of all hops until here. */
  seen: readonly string[];
};

const MOST_REDIRECTS = 5;

export function firstHop(text: string): Hop | SourceFailure {
  const url = URL.parse(text);
  if (url === null || !isWeb(url)) return refused("not an http or https URL");
  return { url, first: url, login: loginIn(url), seen: [identity(url)] };
}

/** Where `Location` leads from there (RFC 9110 §10.2.2). A login goes with it within its origin only. */
export function nextHop({ url: from, first, login, seen }: Hop, location: string): Hop | SourceFailure {
  const fault = (what: string) => refused(`${first.host} redirects ${what}`);
  const url = URL.parse(location, from);
  if (url === null || !isWeb(url)) return fault("to what is not an http or https URL");
  if (from.protocol === "https:" && url.protocol === "http:") return fault("from https to http");
  if (seen.includes(identity(url))) return fault("in a loop");
  if (seen.length > MOST_REDIRECTS) return fault(`more than ${MOST_REDIRECTS} times`);
  const kept = login?.origin === url.origin ? login : null;
  return { url, first, login: loginIn(url) ?? kept, seen: [...seen, identity(url)] };
}

/** Where an answer comes from. Behind a redirect are hosts that the one who asked need not know. */
export function fromWhere({ first, seen }: Hop): string {
  return seen.length === 1 ? `from ${first.host}` : `after a redirect from ${first.host}`;
}

export function forbiddenAt({ first, seen }: Hop): string {
  const whose = seen.length === 1 ? `${first.host}: its address` : `${first.host} redirects to an address that`;
  return `${whose} is not public (attachments.allow_hosts)`;
}

function isWeb({ protocol }: URL): boolean {
  return protocol === "http:" || protocol === "https:";
}

function identity(url: URL): string {
  return url.href.slice(0, url.href.length - url.hash.length);
}

/** RFC 7617, from the URL's user and password. */
function loginIn({ username, password, origin }: URL): Hop["login"] {
  if (username === "" && password === "") return null;
  const pair = `${decoded(username)}:${decoded(password)}`;
  return { origin, basic: `Basic ${Buffer.from(pair).toString("base64")}` };
}

/** What is not percent-encoded properly is meant as it stands. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
