import { isOneLineIn } from "./encoded-charset.ts";

// RFC 2047 §2 allows 75 characters in a word and 76 in a line that has one; this leaves room for the name of a field.
const LONGEST = 60;
const ROOM = LONGEST - "=?UTF-8?Q??=".length;
const ENCODED_WORD = /^=\?[^\s()<>@,;:"/[\]?.=\x00-\x1f\x7f-\uffff]+\?[bq]\?[\x21-\x3e\x40-\x7e]+\?=$/i;
/** What stands for itself even in a name before an address (RFC 2047 §5.3). */
const PLAIN = /^[a-z0-9!*+/-]$/i;

/**
 * One that a client made itself, complete, so that nothing beside it is decoded with it, and one line of text to whoever
 * decodes it.
 */
export function isEncodedWord(word: string): boolean {
  if (word.length > 75 || !ENCODED_WORD.test(word)) return false;
  const [, charset = "", encoding = "", text = ""] = word.split("?");
  const octets = encoding.toLowerCase() === "b" ? fromBase64(text) : fromQuotedPrintable(text);
  // A language may follow the charset (RFC 2231 §5).
  return octets !== null && isOneLineIn(charset.replace(/\*.*$/, ""), octets);
}

/** Readers join words side by side before they decode them: what is no whole base64 would begin in the middle of it. */
function fromBase64(text: string): Buffer | null {
  return /^(?:[a-z0-9+/]{4})*(?:[a-z0-9+/]{2}==|[a-z0-9+/]{3}=)?$/i.test(text) ? Buffer.from(text, "base64") : null;
}

function fromQuotedPrintable(text: string): Buffer | null {
  if (!/^(?:[^=]|=[0-9a-f]{2})*$/i.test(text)) return null;
  const octet = (_: string, hex: string) => String.fromCharCode(Number.parseInt(hex, 16));
  return Buffer.from(text.replaceAll("_", " ").replace(/=(..)/g, octet), "latin1");
}

/** Some readers decode what only looks like an encoded word. */
export function looksEncoded(text: string): boolean {
  return text.includes("=?");
}

/** Text as encoded words of RFC 2047 with at most 60 characters each, to be joined by spaces. */
export function encodedWords(text: string): string[] {
  const characters = [...text.toWellFormed()];
  const foreign = characters.filter((character) => character > "\x7f").length;
  // Mostly ASCII stays readable to those who see it as it is.
  if (foreign * 2 < characters.length) {
    const written = characters.map((character) => QUOTED_PRINTABLE[character.charCodeAt(0)] ?? quoted(character));
    return cut(written, ROOM, ({ length }) => length).map((piece) => `=?UTF-8?Q?${piece}?=`);
  }
  const pieces = cut(characters, (ROOM / 4) * 3, octetsOf);
  return pieces.map((piece) => `=?UTF-8?B?${Buffer.from(piece).toString("base64")}?=`);
}

/** Of each character of ASCII, made once: a header may have tens of thousands. */
const QUOTED_PRINTABLE = Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code);
  return PLAIN.test(character) ? character : character === " " ? "_" : quoted(character);
});

/** Its octets in UTF-8. */
function quoted(character: string): string {
  if (character > "\x7f") return encodeURIComponent(character).replaceAll("%", "=");
  return `=${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

/** In UTF-8. */
function octetsOf(character: string): number {
  const code = character.codePointAt(0)!;
  if (code < 0x800) return code < 0x80 ? 1 : 2;
  return code < 0x10000 ? 3 : 4;
}

/** Joined again up to `room`; no character is in two pieces (RFC 2047 §6.3). */
function cut(characters: string[], room: number, sizeOf: (character: string) => number): string[] {
  const pieces: string[] = [];
  let piece = "";
  let size = 0;
  for (const character of characters) {
    const more = sizeOf(character);
    if (size + more > room) {
      pieces.push(piece);
      piece = "";
      size = 0;
    }
    piece += character;
    size += more;
  }
  return piece === "" ? pieces : [...pieces, piece];
}
