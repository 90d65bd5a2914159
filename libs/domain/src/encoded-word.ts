// RFC 2047 §2 allows 75 characters in a word and 76 in a line that has one; this leaves room for the name of a field.
const LONGEST = 60;
const ROOM = LONGEST - "=?UTF-8?Q??=".length;
const ENCODED_WORD = /^=\?[^\s()<>@,;:"/[\]?.=\x00-\x1f\x7f-\uffff]+\?[bq]\?[\x21-\x3e\x40-\x7e]+\?=$/i;
/** What stands for itself even in a name before an address (RFC 2047 §5.3). */
const PLAIN = /^[a-z0-9!*+/-]$/i;

/** One that a client made itself, and that hides no line break from those who look at what it stands for. */
export function isEncodedWord(word: string): boolean {
  if (word.length > 75 || !ENCODED_WORD.test(word)) return false;
  const [, , encoding = "", text = ""] = word.split("?");
  return encoding.toLowerCase() === "b"
    ? !/[\x00\r\n]/.test(Buffer.from(text, "base64").toString("latin1"))
    : !/=0[0ad]/i.test(text);
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
  if (foreign * 2 < characters.length)
    return cut(characters.map(quotedPrintable), ROOM).map((piece) => `=?UTF-8?Q?${piece}?=`);
  const bytes = characters.map((character) => Buffer.from(character).toString("latin1"));
  return cut(bytes, (ROOM / 4) * 3).map((piece) => `=?UTF-8?B?${Buffer.from(piece, "latin1").toString("base64")}?=`);
}

function quotedPrintable(character: string): string {
  if (character === " ") return "_";
  if (PLAIN.test(character)) return character;
  return Buffer.from(character).toString("hex").toUpperCase().replace(/../g, "=$&");
}

/** Joined again up to `room`; no character is in two pieces (RFC 2047 §6.3). */
function cut(characters: string[], room: number): string[] {
  const pieces: string[] = [];
  let piece = "";
  for (const character of characters) {
    if (piece.length + character.length > room) {
      pieces.push(piece);
      piece = "";
    }
    piece += character;
  }
  return piece === "" ? pieces : [...pieces, piece];
}
