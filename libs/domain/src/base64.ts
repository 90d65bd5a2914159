const WHITE_SPACE = /[\t\n\v\f\r ]/;

/** Strict base64 of RFC 4648 §4: white space is ignored, missing padding completed, anything else refused (null). */
export function decodeBase64(text: string): Uint8Array | null {
  const compact = WHITE_SPACE.test(text) ? text.replace(/[\t\n\v\f\r ]+/g, "") : text;
  const digits = unpaddedLength(compact);
  if (digits === null) return null;
  const bytes = Buffer.from(compact, "base64");
  // Node skips what it does not know, so a foreign character shows as a byte too few. It takes the URL alphabet too,
  // and looks only at the low half of wide characters.
  const whole = bytes.length === Math.floor((digits * 3) / 4);
  const foreign = compact.includes("-") || compact.includes("_") || Buffer.byteLength(compact) !== compact.length;
  return whole && !foreign ? bytes : null;
}

/** How many characters carry data; null when the padding is wrong or a lone character is left over. */
function unpaddedLength(compact: string): number | null {
  const firstPad = compact.indexOf("=");
  const digits = firstPad === -1 ? compact.length : firstPad;
  const padding = compact.length - digits;
  if (digits % 4 === 1) return null;
  if (padding === 0) return digits;
  return padding <= (4 - (digits % 4)) % 4 && compact.endsWith("=".repeat(padding)) ? digits : null;
}
