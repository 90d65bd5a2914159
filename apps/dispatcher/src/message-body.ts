import { Readable } from "node:stream";
import { bytesOf, type Composed, LINE_BYTES, type OpenFile } from "./composed.ts";

/** Large messages are handed over in pieces, so that the last one is asked about when the others have left. */
const PIECE_BYTES = 65_536;
/** What fills a piece as base64: whole lines. */
const CONTENT_BYTES = LINE_BYTES * 840;

export type BodySteps = {
  /** The server has answered DATA with 354. */
  begun(): void;
  /** Asked when only the last piece and the final dot are missing. False: they never follow. */
  mayEnd(): boolean;
  /** From here on the final dot may have reached the server. */
  ended(): void;
  /** A file can no longer be read: what is missing never follows. */
  failed(error: unknown): void;
};

/** A composed message on its way into DATA; its attachments are read, and become base64, as the server takes them. */
export class MessageBody extends Readable {
  #pieces: AsyncGenerator<Uint8Array>;
  #steps: BodySteps;
  #left: number;
  #begun = false;

  constructor({ parts, size }: Pick<Composed, "parts" | "size">, steps: BodySteps) {
    super({ highWaterMark: PIECE_BYTES });
    this.#pieces = piecesOf(parts);
    this.#steps = steps;
    this.#left = size;
  }

  override _read(): void {
    if (!this.#begun) this.#steps.begun();
    this.#begun = true;
    this.#next().catch((error) => this.#steps.failed(error));
  }

  async #next(): Promise<void> {
    const { value: piece, done } = await this.#pieces.next();
    if (done) throw new Error(`the message is ${this.#left} bytes short`);
    if (this.destroyed) return;
    this.#left -= piece.length;
    if (this.#left < 0) throw new Error(`the message is ${-this.#left} bytes too long`);
    if (this.#left === 0 && !this.#steps.mayEnd()) return;
    this.push(piece);
    if (this.#left > 0) return;
    this.push(null);
    this.#steps.ended();
  }
}

async function* piecesOf(parts: Composed["parts"]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    if (part instanceof Uint8Array) yield* cut(part);
    else yield* encoded(part.base64);
  }
}

function* cut(text: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < text.length; at += PIECE_BYTES) yield text.subarray(at, at + PIECE_BYTES);
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
    const { bytesRead } = await content.handle.read(piece, filled, bytes - filled, content.offset + at + filled);
    if (bytesRead === 0) throw new Error("an attachment's file has become shorter");
    filled += bytesRead;
  }
  return piece;
}
