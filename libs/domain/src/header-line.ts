import { type Mailbox, needsSmtpUtf8 } from "./address.ts";
import { encodedWords, isEncodedWord, looksEncoded } from "./encoded-word.ts";

/** RFC 5322 §2.1.1: without its CRLF. */
const LONGEST_LINE = 998;
/** Where lines are broken if there is a space. */
const LINE = 76;
const LONG_NAME = 60;
const ATOMS = /^[\w!#$%&'*+/=?^`{|}~ -]+$/;

/** Whether each word has room on a line. */
export function fitsLines(name: string, words: readonly string[]): boolean {
  return words.every((word, index) => word.length + (index === 0 ? name.length + 1 : 0) <= LONGEST_LINE);
}

/** A header field in lines that end with CRLF. It may break before each word; a word holds the spaces before it. */
export function headerField(name: string, words: readonly string[]): string {
  let text = `${name}:`;
  let length = text.length;
  for (const [index, word] of words.entries()) {
    if (index > 0 && length + word.length > LINE) {
      text += "\r\n";
      length = 0;
    }
    text += word;
    length += word.length;
  }
  return `${text}\r\n`;
}

/** Text as it is where all of it is ASCII, in words of a line: before each the spaces that stood there. */
export function asciiWords(text: string): string[] {
  const words: string[] = [];
  let spaces = "";
  for (const part of text.split(" ")) {
    if (part !== "") words.push(`${spaces} ${part}`);
    spaces = part !== "" || words.length === 0 ? "" : `${spaces} `;
  }
  return words;
}

/**
 * Text of any kind (RFC 5322 §2.2.1, `unstructured`): what is not ASCII or longer than `longWord`, and all between,
 * becomes encoded words. Those that the client encoded itself stay, where nothing beside them needs to be encoded.
 */
export function textWords(text: string, longWord = Number.POSITIVE_INFINITY): string[] {
  const words = asciiWords(text);
  const needsEncoding = (word: string) => word.length > longWord || cannotStand(word);
  if (!words.some(needsEncoding)) return words;
  const isPlain = (word: string) => !needsEncoding(word) && !looksEncoded(word);
  const first = words.findIndex((word) => !isPlain(word));
  const last = words.findLastIndex((word) => !isPlain(word));
  const middle = words.slice(first, last + 1).join("");
  const encoded = encodedWords(middle.slice(1)).map((word) => ` ${word}`);
  return [...words.slice(0, first), ...encoded, ...words.slice(last + 1)];
}

function cannotStand(word: string): boolean {
  if (/[^\x20-\x7e]/.test(word)) return true;
  return looksEncoded(word) && !isEncodedWord(word.trimStart());
}

/** A list as in To (RFC 5322 §3.4). An address outside ASCII stays as it is (RFC 6532). */
export function mailboxWords(mailboxes: readonly Mailbox[]): string[] {
  return mailboxes.flatMap(({ name, address }, index) => {
    const bare = name === "" && !address.startsWith('"') && !needsSmtpUtf8(address);
    const comma = index < mailboxes.length - 1 ? "," : "";
    return [...phraseWords(name), `${bare ? ` ${address}` : ` <${address}>`}${comma}`];
  });
}

/** The name before an address: bare, quoted or encoded. */
function phraseWords(name: string): string[] {
  if (name === "") return [];
  const ascii = /^[\x20-\x7e]*$/.test(name);
  if (ascii && ATOMS.test(name) && asciiWords(name).every(isPhraseWord)) return asciiWords(name);
  if (ascii && name.length <= LONG_NAME && !looksEncoded(name)) return [` "${name.replace(/["\\]/g, "\\$&")}"`];
  return encodedWords(name).map((word) => ` ${word}`);
}

function isPhraseWord(word: string): boolean {
  return word.length <= LONG_NAME && (!looksEncoded(word) || isEncodedWord(word.trimStart()));
}
