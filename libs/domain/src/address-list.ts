import { bad, good, quote, type Read } from "./read.ts";

/** One entry of an address list: a bare address, or a name before one in angle brackets. */
export type AddressEntry = { source: string; name: string; address: string };

const MARKS = /["():;<>\\]/;
const NAMED = /^([^"(),:;<>\\]*)<([^"(),:;<>\\]*)>$/;

// Quoted string, comment, angle brackets, comma, plain text; whatever is left stands where it must not. The bounds
// keep the engine's backtracking stack small; no entry may be as long as that.
const TOKEN =
  /"((?:[^"\\]|\\.){0,1000})"|\(((?:[^()\\]|\\.){0,1000})\)|<([^"(),:;<>\\]{0,1000})>|(,)|([^"(),:;<>\\]+)|(.)/gs;

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

type Parts = { start: number; words: string; plain: string; comment: string; angle: string | null; quoted: boolean };

function noParts(start: number): Parts {
  return { start, words: "", plain: "", comment: "", angle: null, quoted: false };
}

function cutByToken(list: string): Read<AddressEntry[]> {
  const entries: AddressEntry[] = [];
  let parts = noParts(0);
  const finish = (end: number): string | null => {
    const source = list.slice(parts.start, end).trim();
    if (parts.angle === null && parts.quoted)
      return `${quote(source)} has quotes in its address, which are not supported`;
    if (source !== "") entries.push(toEntry(source, parts));
    return null;
  };
  for (const token of list.matchAll(TOKEN)) {
    const [all, quoted, comment, angle, comma, plain] = token;
    if (comma !== undefined) {
      const fault = finish(token.index);
      if (fault !== null) return bad(fault);
      parts = noParts(token.index + 1);
      continue;
    }
    const afterAngle = parts.angle !== null && comment === undefined && all.trim() !== "";
    if (afterAngle || (quoted ?? comment ?? angle ?? plain) === undefined) return bad(misplaced(list, parts, all));
    if (angle !== undefined) parts.angle = angle.trim();
    if (quoted !== undefined) parts.quoted = true;
    if (comment !== undefined) parts.comment += unescaped(comment);
    if (plain !== undefined) parts.plain += plain;
    if (angle === undefined) parts.words += quoted === undefined ? all : unescaped(quoted);
  }
  const fault = finish(list.length);
  return fault === null ? good(entries) : bad(fault);
}

function toEntry(source: string, { angle, words, plain, comment }: Parts): AddressEntry {
  const name = angle === null ? comment : words;
  return { source, name: spaced(name), address: angle ?? plain.trim() };
}

function spaced(name: string): string {
  return name.replace(/\s+/g, " ").trim();
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/gs, "$1");
}

function misplaced(list: string, parts: Parts, mark: string): string {
  const source = list.slice(parts.start).trim();
  if (mark === ":" && parts.angle === null) return `${quote(source)} is a group, name its members instead`;
  return `${quote(source)} is not an address`;
}
