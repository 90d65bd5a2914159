import { setImmediate as nextTurn } from "node:timers/promises";
import type { ListPosition, MessageFilter, MessageRecord } from "@async-mail/db/store";
import type { Context } from "hono";
import { warnings } from "./answers.ts";
import type { Deps, Env } from "./deps.ts";
import { toRecord } from "./record.ts";

/** Held in memory at once, whatever the size of the queue; messages may be large. */
const PAGE = 50;

/** All rows after `start`, page by page, each read when the client has taken the one before. */
export async function streamRecords(
  deps: Deps,
  c: Context<Env>,
  filter: MessageFilter,
  start: ListPosition | null,
): Promise<Response> {
  const page = (after: ListPosition | null) => deps.store.messages.list(filter, after, PAGE, deps.clock.now());
  // Read before the status is sent: a fault of storage is still a 503 here.
  const first = await page(start);

  async function* text(): AsyncGenerator<Uint8Array> {
    const encoder = new TextEncoder();
    const { warnings: found } = warnings(c);
    yield encoder.encode(`{"ok":true,${found ? `"warnings":${JSON.stringify(found)},` : ""}"messages":[`);
    let separator = "";
    for (let { records, next } = first; ; { records, next } = await page(next)) {
      if (records.length > 0) yield encoder.encode(separator + rows(records));
      if (records.length > 0) separator = ",\n";
      if (next === null) break;
      // Reading and a fast client's taking may both be done at once: without a pause no other request would have a turn.
      await nextTurn();
    }
    yield encoder.encode("]}");
  }

  async function* cutOnFault(): AsyncGenerator<Uint8Array> {
    try {
      yield* text();
    } catch (error) {
      // The status is out: only a connection that ends too early tells the client that rows are missing.
      deps.log.failed(error, { what: "GET /messages" });
      c.env.outgoing.destroy();
    }
  }

  return c.body(ReadableStream.from(cutOnFault()) as ReadableStream, 200, { "Content-Type": "application/json" });
}

function rows(records: MessageRecord[]): string {
  return records.map((record) => JSON.stringify(toRecord(record))).join(",\n");
}
