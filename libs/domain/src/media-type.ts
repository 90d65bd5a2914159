import { isName, nameIn } from "./parameter-name.ts";
import { bad, good, quote, type Read } from "./read.ts";

/** `name`: of the file, as the type's parameter of that name has it, and not yet cleaned; null: it has none. */
export type MediaType = { type: string; name: string | null };

const TOKEN = "[\\w!#$%&'*+.^`|~-]+";
const VALUE = `(?:${TOKEN}|"[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]*")`;
const PARAMETER = `;\\s*(${TOKEN})=(${VALUE})\\s*`;
/** RFC 2045 §5.1, with its parameters. */
const MEDIA_TYPE = new RegExp(`^${TOKEN}/${TOKEN}\\s*(?:;\\s*${TOKEN}=${VALUE}\\s*)*;?$`);
const MAX_LENGTH = 500;
/** With a name, which may have 255 octets, each of them in three characters. */
const MAX_LENGTH_NAMED = 2000;
/** Of one parameter's value; longer ones go out in pieces that not every reader joins (RFC 2231). */
const MAX_VALUE = 70;

/** An attachment's content type as it is kept, that is without a file name, which goes out in its own place. */
export function readMediaType(text: string): Read<MediaType> {
  if (text.length > MAX_LENGTH_NAMED) return bad(`longer than ${MAX_LENGTH_NAMED} characters`);
  const { type, name } = splitName(text.trim());
  if (type.length > MAX_LENGTH) return bad(`longer than ${MAX_LENGTH} characters`);
  if (!MEDIA_TYPE.test(type)) return bad(`${quote(text)} is not a media type`);
  // RFC 2046 §5.1: its bytes would be read as parts, and what they are not made of would vanish.
  if (/^multipart\//i.test(type)) return bad(`${quote(text)} is no type of one file`);
  for (const [parameter, value] of parametersOf(type)) {
    if (parameter.includes("*") || parameter === "boundary")
      return bad(`${quote(text)} has the parameter ${parameter}`);
    if (value.length > MAX_VALUE) return bad(`${quote(text)}: ${parameter} is longer than ${MAX_VALUE} characters`);
  }
  return good({ type, name });
}

/** What stands between semicolons that are not in quotes. */
const PIECE = /(?:[^;"]|"(?:[^"\\]|\\.)*"?)+/gs;

function splitName(text: string): MediaType {
  const [type = "", ...parameters] = text.match(PIECE) ?? [];
  const name = nameIn(parameters);
  if (name === null) return { type: text, name };
  return { type: [type, ...parameters.filter((one) => !isName(one))].join(";").trim(), name };
}

/** An invitation (RFC 6047): a calendar entry that asks the reader for something. */
export function isInvite(type: string): boolean {
  return isCalendar(type) && parametersOf(type).some(([name, value]) => name === "method" && value !== "");
}

/** A calendar entry is UTF-8 (RFC 5545 §3.1.4), and readers want to be told. */
export function withCharset(type: string): string {
  const wanted = isCalendar(type) && !parametersOf(type).some(([name]) => name === "charset");
  return wanted ? `${type.replace(/\s*;$/, "")}; charset=utf-8` : type;
}

function isCalendar(type: string): boolean {
  return /^text\/calendar\b/i.test(type);
}

function parametersOf(type: string): [name: string, value: string][] {
  const parameters = type.matchAll(new RegExp(PARAMETER, "g"));
  return [...parameters].map(([, name, value]) => [name!.toLowerCase(), value!.replace(/^"(.*)"$/, "$1")]);
}
