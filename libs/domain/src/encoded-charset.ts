/** Line ends to some reader: those of ASCII and its information separators, U+0085, U+2028 and U+2029. */
const LINE_END = /[\x0a-\x0d\x1c-\x1e\x85\u2028\u2029]/;
/** What hides a line end, a NUL or a change of character set, whatever the charset. */
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;

/** One octet, one character; of the ISO ones 80–9F are controls, U+0085 among them. */
const OF_ISO = /^iso-8859-(?:[1-9]|1[0-6])$/;
const OF_ONE_OCTET = /^(?:windows-125[0-8]|koi8-[ru])$/;
/** Decoded by Node, which refuses what is cut or not theirs. */
const OF_SEVERAL_OCTETS = new Set(["utf-8", "gb2312", "gbk", "gb18030", "big5", "euc-jp", "euc-kr", "shift_jis"]);

/**
 * Whether octets in a charset (of any case) are one line of text to every reader. Only well-known charsets are, in which
 * the octets of ASCII mean nothing but ASCII: in UTF-7, UTF-16 or those of IBM a line end may be any octets.
 */
export function isOneLineIn(charset: string, octets: Buffer): boolean {
  const name = charset.toLowerCase();
  const text = octets.toString("latin1");
  if (CONTROL.test(text)) return false;
  if (name === "us-ascii") return !/[^\x00-\x7f]/.test(text);
  if (OF_ISO.test(name)) return !/[\x80-\x9f]/.test(text);
  if (OF_ONE_OCTET.test(name)) return true;
  return OF_SEVERAL_OCTETS.has(name) && isOneLineDecoded(name, octets);
}

function isOneLineDecoded(charset: string, octets: Buffer): boolean {
  try {
    return !LINE_END.test(new TextDecoder(charset, { fatal: true, ignoreBOM: true }).decode(octets));
  } catch {
    return false;
  }
}
