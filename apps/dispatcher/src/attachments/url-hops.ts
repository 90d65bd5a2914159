import type { SourceFailure } from "./remote-source.ts";
import { refused } from "./url-failure.ts";

/** One of the addresses on the way to a file. */
export type Hop = {
  url: URL;
  /** The URL that was asked for, the only one that reasons may name. */
  first: URL;
  login: Login | null;
  /** Of all hops until here. */
  seen: readonly string[];
};

/** A value for Authorization, and the one origin it may be sent to. `own`: it was given beside the URL, not in it. */
type Login = { origin: string; authorization: string; own: boolean };

const MOST_REDIRECTS = 5;

/** `authorization` goes before a login in the URL. */
export function firstHop(text: string, authorization: string | null): Hop | SourceFailure {
  const url = URL.parse(text);
  if (url === null || !isWeb(url)) return refused("not an http or https URL");
  const own = authorization === null ? null : { origin: url.origin, authorization, own: true };
  return { url, first: url, login: own ?? loginIn(url), seen: [identity(url)] };
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
  return { url, first, login: kept?.own ? kept : (loginIn(url) ?? kept), seen: [...seen, identity(url)] };
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
function loginIn({ username, password, origin }: URL): Login | null {
  if (username === "" && password === "") return null;
  const pair = `${decoded(username)}:${decoded(password)}`;
  return { origin, authorization: `Basic ${Buffer.from(pair).toString("base64")}`, own: false };
}

/** What is not percent-encoded properly is meant as it stands. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
