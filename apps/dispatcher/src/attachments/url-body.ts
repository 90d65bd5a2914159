import { pipeline, Readable, type Transform } from "node:stream";
import * as zlib from "node:zlib";
import { SourceBroken, SourceRefused } from "./remote-source.ts";
import { brokenWords, reasonOf, tooLarge } from "./url-failure.ts";

type Bytes = AsyncIterable<Uint8Array>;

export type BodyOptions = {
  /** In the order they were applied. */
  encodings: string[];
  /** On the wire. */
  maxBytes: number;
  signal: AbortSignal;
};

const CHUNK_BYTES = 65_536;

/** RFC 9659 §3: no more memory than 8 MB for a window. */
const ZSTD = { chunkSize: CHUNK_BYTES, params: { [zlib.constants.ZSTD_d_windowLogMax]: 23 } };

/** The file in what comes over the wire. Closes the connection when whoever reads it returns, even before the first byte. */
export function decodedBody(wire: Readable, { encodings, maxBytes, signal }: BodyOptions): Bytes {
  // Also while nobody reads it yet.
  wire.on("error", () => {});
  const decoded = encodings.reduceRight((source: Bytes, name) => decode(source, name), counted(wire, maxBytes, signal));
  return {
    [Symbol.asyncIterator]() {
      const chunks = checked(decoded, encodings, signal);
      return {
        next: () => chunks.next(),
        async return() {
          wire.destroy();
          await chunks.return();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

async function* checked(decoded: Bytes, encodings: string[], signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
  try {
    for await (const chunk of decoded) {
      // A bomb comes out of memory long after the last byte from the wire.
      if (signal.aborted) throw new SourceBroken(reasonOf(signal));
      yield chunk;
    }
  } catch (error) {
    if (error instanceof SourceBroken || error instanceof SourceRefused) throw error;
    throw new SourceBroken(`its ${encodings.join(", ")} encoding is broken`, { cause: error });
  }
}

async function* counted(wire: Readable, maxBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
  let bytes = 0;
  try {
    for await (const chunk of wire as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw new SourceRefused(tooLarge(maxBytes));
      yield chunk;
    }
  } catch (error) {
    if (error instanceof SourceRefused) throw error;
    throw new SourceBroken(brokenWords(error, signal), { cause: error });
  }
}

/** Begins with the first byte that is read: what fails before would find nobody who hears of it. */
async function* decode(source: Bytes, name: string): AsyncGenerator<Uint8Array, void> {
  const chunks = source[Symbol.asyncIterator]();
  const first = await chunks.next();
  // Of nothing every encoding is nothing.
  if (first.done) return;
  const encoded = Readable.from(joined(first.value, { [Symbol.asyncIterator]: () => chunks }), { objectMode: false });
  // The iterator tells of errors; without a callback they would end the process.
  yield* pipeline(encoded, decoderOf(name, first.value), () => {});
}

function decoderOf(name: string, head: Uint8Array): Transform {
  if (name === "br") return zlib.createBrotliDecompress({ chunkSize: CHUNK_BYTES });
  if (name === "zstd") return zlib.createZstdDecompress(ZSTD);
  if (name !== "deflate") return zlib.createGunzip({ chunkSize: CHUNK_BYTES });
  // With zlib's frame, as RFC 9110 §8.4.1.2 wants it, or without, as some servers send it.
  const isFramed = ((head[0] ?? 8) & 0x0f) === 8;
  return (isFramed ? zlib.createInflate : zlib.createInflateRaw)({ chunkSize: CHUNK_BYTES });
}

async function* joined(head: Uint8Array, rest: Bytes): AsyncGenerator<Uint8Array, void> {
  yield head;
  yield* rest;
}
