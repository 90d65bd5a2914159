/** `name=`, or in the forms of RFC 2231: `name*=`, `name*0=`, `name*0*=`. */
const NAME = /^\s*name(?:\*(\d{1,3}))?(\*)?\s*=(.*)$/is;

export function isName(parameter: string): boolean {
  return NAME.test(parameter);
}

/**
 * The file name in the parameters of a content type, each without its semicolon; null: there is none. One that is encoded
 * wins (RFC 2231); what cannot be decoded stays as it was written.
 */
export function nameIn(parameters: readonly string[]): string | null {
  const pieces = parameters.flatMap((one) => readPiece(one) ?? []);
  const encoded = pieces.filter(({ index }) => index >= 0).toSorted((a, b) => a.index - b.index);
  return encoded.length > 0 ? joined(encoded) : (pieces[0]?.value ?? null);
}

/** `index` -1: the name as it stands. */
type Piece = { index: number; isEncoded: boolean; value: string };

function readPiece(parameter: string): Piece | null {
  const match = NAME.exec(parameter);
  if (match === null) return null;
  const [, index, star, value = ""] = match;
  const isEncoded = star !== undefined;
  return { index: Number(index ?? (isEncoded ? 0 : -1)), isEncoded, value: unquoted(value.trim()) };
}

/** Clients leave the backslashes of a path as they are. */
function unquoted(value: string): string {
  return value.startsWith('"') ? value.replace(/^"|"$/g, "").replace(/\\(["\\])/g, "$1") : value;
}

/** The charset stands before the first piece, for all of them (RFC 2231 §4.1). */
function joined(pieces: Piece[]): string {
  const [, charset = "", first] = /^([^']*)'[^']*'(.*)$/s.exec(pieces[0]!.value) ?? [];
  const isMarked = pieces[0]!.isEncoded && first !== undefined;
  const values = pieces.map(({ value, isEncoded }, index) => {
    const text = index === 0 && isMarked ? first : value;
    return isEncoded ? percentDecoded(text) : text;
  });
  try {
    return new TextDecoder(charset || "utf-8", { fatal: true }).decode(Buffer.from(values.join(""), "latin1"));
  } catch {
    return pieces.map(({ value }) => value).join("");
  }
}

/** Each octet as the character of its number. */
function percentDecoded(text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}
