import type { Readable } from "node:stream";
import { SourceBroken } from "./remote-source.ts";

/**
 * The bytes of an answer as they come. That they are as many as declared is seen to by Node, for which an answer that
 * ends early is an error. The end of the iterator closes the connection even where nothing was read: a generator's would not.
 */
export function s3Body(answer: Readable, declaredBytes: number | null): AsyncIterableIterator<Uint8Array> {
  const reader: AsyncIterator<Uint8Array> = answer[Symbol.asyncIterator]();

  async function next(): Promise<IteratorResult<Uint8Array>> {
    try {
      return await reader.next();
    } catch {
      // How many had come is not known: what broke off throws away what was not read yet.
      const all = declaredBytes === null ? "its end" : `all of its ${declaredBytes} bytes`;
      throw new SourceBroken(`it broke off before ${all} had come`);
    }
  }

  async function stop(): Promise<IteratorResult<Uint8Array>> {
    answer.destroy();
    return { done: true, value: undefined };
  }

  const body: AsyncIterableIterator<Uint8Array> = { next, return: stop, [Symbol.asyncIterator]: () => body };
  return body;
}
