import { bad, good, oneLine, quote, type Read } from "./read.ts";

/** One entry of an address list: a bare address, or a name before one in angle brackets. */
export type AddressEntry = { source: string; name: string; address: string };

const MARKS = /["():;<>\\]/;
const NAMED = /^([^"(),:;<>\\]*)<([^"(),:;<>\\]*)>$/;

// Quoted string, comment, angle brackets, comma, plain text; whatever is left stands where it must not. The bounds
// keep the engine's backtracking stack small; no entry may be as long as that.
const TOKEN = new RegExp(
  [
    String.raw`"((?:[^"\\]|\\.){0,1000})"`,
    String.raw`\(((?:[^()\\]|\\.){0,1000})\)`,
    String.raw`<((?:"[^"\\<>]{0,300}"@)?[^"(),:;<>\\]{0,1000})>`,
    "(,)",
    String.raw`([^"(),:;<>\\]+)`,
    "(.)",
  ].join("|"),
  "gs",
);

/**
 * Cuts a list as in a To header (RFC 5322 §3.4) at its commas; empty entries are skipped. Stricter than the obsolete
 * grammar, and without groups. Quotes and escapes are resolved; a comment is part of the name.
 */
export function cutAddressList(list: string): Read<AddressEntry[]> {
  const text = list.trim();
  if (!MARKS.test(text)) return good(bareEntries(text));
  const [source, name, address] = NAMED.exec(text) ?? [];
  if (source !== undefined) return good([{ source, name: spaced(name!), address: address!.trim() }]);
  return cutByToken(text);
}

function bareEntries(text: string): AddressEntry[] {
  const addresses = text.includes(",") ? text.split(",").map((part) => part.trim()) : [text];
  return addresses.filter((address) => address !== "").map((address) => ({ source: address, name: "", address }));
}

/** `bare`: as it was written, a space for each comment. */
type Parts = { start: number; words: string; bare: string; comment: string; angle: string | null };

function noParts(start: number): Parts {
  return { start, words: "", bare: "", comment: "", angle: null };
}

function cutByToken(list: string): Read<AddressEntry[]> {
  const entries: AddressEntry[] = [];
  let parts = noParts(0);
  const finish = (end: number) => {
    const source = list.slice(parts.start, end).trim();
    if (source !== "") entries.push(toEntry(source, parts));
  };
  for (const token of list.matchAll(TOKEN)) {
    const [all, quoted, comment, angle, comma, plain] = token;
    if (comma !== undefined) {
      finish(token.index);
      parts = noParts(token.index + 1);
      continue;
    }
    const afterAngle = parts.angle !== null && comment === undefined && all.trim() !== "";
    if (afterAngle || (quoted ?? comment ?? angle ?? plain) === undefined) return bad(misplaced(list, parts, all));
    if (angle !== undefined) parts.angle = angle.trim();
    parts.bare += comment === undefined ? all : " ";
    if (comment !== undefined) parts.comment += unescaped(comment);
    if (angle === undefined) parts.words += quoted === undefined ? all : unescaped(quoted);
  }
  finish(list.length);
  return good(entries);
}

function toEntry(source: string, { angle, words, bare, comment }: Parts): AddressEntry {
  const name = angle === null ? comment : words;
  return { source, name: spaced(name), address: angle ?? bare.trim() };
}

function spaced(name: string): string {
  return oneLine(name).replace(/\s+/g, " ").trim();
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/gs, "$1");
}

function misplaced(list: string, parts: Parts, mark: string): string {
  const source = list.slice(parts.start).trim();
  if (mark === ":" && parts.bare.includes("@["))
    return `${quote(source)} names a host by its number, a domain is wanted after the @`;
  if (mark === ":" && parts.angle === null) return `${quote(source)} is a group, name its members instead`;
  const hint = mark === ";" ? ", separate addresses by commas" : "";
  return `${quote(source)} is not an address${hint}`;
}
