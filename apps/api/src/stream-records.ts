import { setImmediate as nextTurn } from "node:timers/promises";
import type { ListPosition, MessageFilter, MessageRecord } from "@async-mail/db/store";
import type { Context } from "hono";
import { warnings } from "./answers.ts";
import type { Deps, Env } from "./deps.ts";
import { toRecord } from "./record.ts";
import type { Scope } from "./scope.ts";

/** Rows of one step. What is held in memory is one step, whatever the size of the queue. */
const MOST_ROWS = 50;
/** A step with more than this is followed by one of half as many rows: a message may be as large as a request. */
const STEP_BYTES = 2_097_152;

type Listed = {
  scope: Scope;
  filter: MessageFilter;
  /** The last record of the page before; null: from the beginning. */
  after: ListPosition | null;
  /** Rows of this answer, which then has a cursor while there is more; null: all rows. */
  limit: number | null;
};

/** Rows step by step, each read when the client has taken the one before. */
export async function streamRecords(deps: Deps, c: Context<Env>, listed: Listed): Promise<Response> {
  const parts = text(deps, c, listed);
  // Up to the first rows before the status is sent: a fault of storage is still a 503 here.
  const first = await parts.next();

  async function* cutOnFault(): AsyncGenerator<Uint8Array> {
    try {
      if (!first.done) yield first.value;
      yield* parts;
    } catch (error) {
      // The status is out: only a connection that ends too early tells the client that rows are missing.
      deps.log.failed(error, { what: "GET /messages" });
      c.env.outgoing.destroy();
    }
  }

  return c.body(ReadableStream.from(cutOnFault()) as ReadableStream, 200, { "Content-Type": "application/json" });
}

async function* text(deps: Deps, c: Context<Env>, { scope, filter, after, limit }: Listed): AsyncGenerator<Uint8Array> {
  const { messages } = deps.store.of(scope.tenant);
  const { warnings: found } = warnings(c);
  const head = `{"ok":true,${found ? `"warnings":${JSON.stringify(found)},` : ""}"messages":[`;
  let before = head;
  let step = 1;
  let left = limit ?? Number.POSITIVE_INFINITY;
  let position = after;
  do {
    const { records, next } = await messages.list(filter, position, Math.min(step, left), deps.clock.now());
    const bytes = rows(records, scope);
    if (bytes.length > 0 || before === head) yield Buffer.concat([Buffer.from(before), bytes]);
    before = ",\n";
    left -= records.length;
    position = next;
    step = bytes.length > STEP_BYTES ? Math.ceil(step / 2) : Math.min(MOST_ROWS, step * 2);
    // Reading and a fast client's taking may both be done at once: without a pause no other request would have a turn.
    await nextTurn();
  } while (position !== null && left > 0);
  yield Buffer.from(position === null ? "]}" : `],"next_cursor":${JSON.stringify(deps.cursors.write(position))}}`);
}

/** Joined as bytes: some large messages together may be longer than a string can be. */
function rows(records: MessageRecord[], scope: Scope): Buffer {
  const texts = records.map((record, i) => (i > 0 ? ",\n" : "") + JSON.stringify(toRecord(record, scope)));
  return Buffer.concat(texts.map((one) => Buffer.from(one)));
}
