import { bytesOf, type Composed, LINE_BYTES, type OpenFile } from "./composed.ts";

/** Large messages are handed over in pieces, so that the last one is asked about when the others have left. */
const PIECE_BYTES = 65_536;
/** What fills a piece as base64: whole lines. */
const CONTENT_BYTES = LINE_BYTES * 840;

const LF = 0x0a;
const DOT = 0x2e;
const CRLF = Buffer.from("\r\n");
const END = Buffer.from(".\r\n");

/** An attachment's file can no longer be read. */
export class UnreadableFile extends Error {
  override name = "UnreadableFile";
}

type Parts = Composed["parts"];
export type WirePiece = { bytes: Uint8Array; isLast: boolean };

/**
 * A composed message as DATA wants it (RFC 5321 §4.5.2): a second dot before each at a line's beginning, and the final
 * dot, which is in the last piece. Attachments are read, and become base64, as the pieces are asked for. Throws when a file
 * can no longer be read.
 */
export async function* wirePieces(parts: Parts): AsyncGenerator<WirePiece> {
  const small = smallPart(parts);
  if (small !== null) {
    yield { bytes: ended(dotted(small, true)), isLast: true };
    return;
  }
  let held: Uint8Array | null = null;
  let atLineStart = true;
  for await (const piece of piecesOf(parts)) {
    if (held !== null) yield { bytes: held, isLast: false };
    held = dotted(piece, atLineStart);
    atLineStart = piece.at(-1) === LF;
  }
  yield { bytes: ended(held ?? new Uint8Array()), isLast: true };
}

/** Most messages: one text that is one piece. */
function smallPart([first, second]: Parts): Uint8Array | null {
  return first instanceof Uint8Array && second === undefined && first.length <= PIECE_BYTES ? first : null;
}

/** The message piece by piece, as it was composed. */
export async function* piecesOf(parts: Parts): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    if (part instanceof Uint8Array) yield* cut(part);
    else yield* encoded(part.base64);
  }
}

function* cut(text: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < text.length; at += PIECE_BYTES) yield text.subarray(at, at + PIECE_BYTES);
}

function dotted(piece: Uint8Array, atLineStart: boolean): Uint8Array {
  const buffer = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
  const pieces: Uint8Array[] = [];
  let from = 0;
  if (atLineStart && buffer[0] === DOT) pieces.push(END.subarray(0, 1));
  for (let at = buffer.indexOf("\n."); at >= 0; at = buffer.indexOf("\n.", at + 1)) {
    pieces.push(buffer.subarray(from, at + 1), END.subarray(0, 1));
    from = at + 1;
  }
  return pieces.length === 0 ? piece : Buffer.concat([...pieces, buffer.subarray(from)]);
}

function ended(piece: Uint8Array): Uint8Array {
  return Buffer.concat(piece.at(-1) === LF ? [piece, END] : [piece, CRLF, END]);
}

async function* encoded(content: Uint8Array | OpenFile): AsyncGenerator<Uint8Array> {
  const all = bytesOf(content);
  for (let at = 0; at < all; at += CONTENT_BYTES) {
    const bytes = await read(content, at, Math.min(CONTENT_BYTES, all - at));
    yield base64Lines(bytes, at + bytes.length === all);
  }
}

const LINE = 76;

/** Each line ends with CRLF, but for the last of all. By hand: nodemailer's takes twice the time, the most of sending. */
function base64Lines(bytes: Buffer, isLast: boolean): Buffer {
  const text = Buffer.from(bytes.toString("base64"), "latin1");
  const lines = Math.ceil(text.length / LINE);
  const wrapped = Buffer.allocUnsafe(text.length + 2 * (isLast ? lines - 1 : lines));
  let to = 0;
  for (let from = 0; from < text.length; from += LINE) {
    to += text.copy(wrapped, to, from, from + LINE);
    if (to === wrapped.length) break;
    wrapped[to++] = 0x0d;
    wrapped[to++] = 0x0a;
  }
  return wrapped;
}

async function read(content: Uint8Array | OpenFile, at: number, bytes: number): Promise<Buffer> {
  if (content instanceof Uint8Array) return Buffer.from(content.buffer, content.byteOffset + at, bytes);
  const piece = Buffer.allocUnsafe(bytes);
  for (let filled = 0; filled < bytes; ) {
    const bytesRead = await readSome(content, piece, filled, at + filled);
    if (bytesRead === 0) throw new UnreadableFile("an attachment's file has become shorter");
    filled += bytesRead;
  }
  return piece;
}

async function readSome({ handle, offset }: OpenFile, into: Buffer, filled: number, at: number): Promise<number> {
  try {
    return (await handle.read(into, filled, into.length - filled, offset + at)).bytesRead;
  } catch (error) {
    throw new UnreadableFile((error as Error).message, { cause: error });
  }
}
