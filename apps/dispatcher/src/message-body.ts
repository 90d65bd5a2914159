import { Readable } from "node:stream";

/** Large messages are handed over in pieces, so that the last one is asked about when the others have left. */
const PIECE_BYTES = 65_536;

export type BodySteps = {
  /** The server has answered DATA with 354. */
  begun(): void;
  /** Asked when only the last piece and the final dot are missing. False: they never follow. */
  mayEnd(): boolean;
  /** From here on the final dot may have reached the server. */
  ended(): void;
};

/** A composed message on its way into DATA. */
export class MessageBody extends Readable {
  #raw: Uint8Array;
  #steps: BodySteps;
  #offset = 0;

  constructor(raw: Uint8Array, steps: BodySteps) {
    super({ highWaterMark: PIECE_BYTES });
    this.#raw = raw;
    this.#steps = steps;
  }

  override _read(): void {
    if (this.#offset === 0) this.#steps.begun();
    const piece = this.#raw.subarray(this.#offset, this.#offset + PIECE_BYTES);
    const last = this.#offset + piece.length >= this.#raw.length;
    if (last && !this.#steps.mayEnd()) return;
    this.#offset += piece.length;
    this.push(piece);
    if (!last) return;
    this.push(null);
    this.#steps.ended();
  }
}
