import { detectMimeType } from "nodemailer/lib/mime-funcs";

/** An attachment that is a message itself, by its type or else by its name (`.eml`). */
export function isMessage({ filename, contentType }: { filename: string; contentType: string | null }): boolean {
  return /^message\//i.test(contentType ?? detectMimeType(filename));
}

const LF = 0x0a;
const CR = 0x0d;
const LONGEST_LINE = 998;

/**
 * A message inside a message travels as it is (RFC 2046 §5.2.1), which is possible where it is lines of ASCII, none
 * longer than RFC 5322 §2.1.1 allows. Answers it with CRLF at the line ends; null: it has to travel as a file.
 */
export function asLines(bytes: Uint8Array): Buffer | null {
  let inLine = 0;
  let bareLineFeeds = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === LF) {
      if (bytes[at - 1] !== CR) bareLineFeeds += 1;
      inLine = 0;
    } else if (byte === 0 || byte > 0x7f || (byte === CR && bytes[at + 1] !== LF)) return null;
    else if (byte !== CR && ++inLine > LONGEST_LINE) return null;
  }
  return bareLineFeeds === 0 ? Buffer.from(bytes) : withCrlf(bytes);
}

function withCrlf(bytes: Uint8Array): Buffer {
  return Buffer.from(
    Buffer.from(bytes)
      .toString("latin1")
      .replace(/(?<!\r)\n/g, "\r\n"),
    "latin1",
  );
}
