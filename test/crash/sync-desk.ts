import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import type { ReportItem } from "../support/sync-client.ts";
import type { Kill } from "./killer.ts";
import { CALM_ANSWER, type SyncAnswer, syncAnswer } from "./sync-answers.ts";
import { createSyncBook, type Posted, type SyncBook, type SyncCall } from "./sync-book.ts";

export type SyncDesk = {
  book: SyncBook;
  /** For one start of a reporter; its name is in the URL, so that the book knows who calls. */
  urlFor(reporter: string): string;
  calm: boolean;
  /** What befalls a reporter while it calls. */
  strike: (reporter: string, kill: Kill) => void;
  close(): Promise<void>;
};

/** Reporters of the crash test wait 2 s for an answer. */
const TIME_OUT_MS = 2600;

/** The application that gets the reports, in any of the moods that contract §4.3 knows. */
export async function startSyncDesk(seed: string): Promise<SyncDesk> {
  const book = createSyncBook();
  const underWay = new Set<SyncCall>();
  /** Ids that were called unknown already: once is enough to see them reported again, after 5 s. */
  const unknown = new Set<string>();

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const call = open(request, response);
    const items = (JSON.parse(await text(request)) as { delivery_report: ReportItem[] }).delivery_report;
    const ids = items.map(({ id }) => id).filter((id) => !unknown.has(id));
    const answer = desk.calm ? CALM_ANSWER : syncAnswer(seed, call.number, ids);
    for (const id of answer.unknown) unknown.add(id);
    Object.assign(call, { answer: answer.name, items: items.length });
    const posted = items.map((item): Posted => ({ call, item, acknowledged: false }));
    for (const one of posted) book.post(one.item.id, one);
    if (answer.strike !== null) desk.strike(call.reporter, answer.strike);
    await pause(answer.delayMs);
    const sent = await reply(response, answer);
    if (!sent || !answer.acknowledges) return;
    book.acknowledged.add(call.number);
    for (const one of posted) one.acknowledged = !answer.unknown.includes(one.item.id);
  }

  function open(request: IncomingMessage, response: ServerResponse): SyncCall {
    const reporter = new URL(request.url ?? "", "http://desk").searchParams.get("by") ?? "";
    const number = book.calls.length + 1;
    const call: SyncCall = { number, reporter, startedAt: Date.now(), endedAt: null, answer: "", items: 0 };
    for (const earlier of underWay) book.overlaps.push({ earlier, later: call });
    book.calls.push(call);
    underWay.add(call);
    const end = () => {
      call.endedAt ??= Date.now();
      underWay.delete(call);
    };
    // The reporter is free to call again when it has the last byte, which may be before the connection closes.
    response.once("finish", end);
    response.once("close", end);
    return call;
  }

  const server = createServer((request, response) => {
    // A reporter that was killed in the middle of its call is what this test is about.
    serve(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const desk: SyncDesk = {
    book,
    urlFor: (reporter) => `http://127.0.0.1:${port}/sync?by=${reporter}`,
    calm: false,
    strike: () => {},
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return desk;
}

/** Whether the whole answer was handed over. */
async function reply(response: ServerResponse, answer: SyncAnswer): Promise<boolean> {
  if (response.destroyed) return false;
  if (answer.does === "time out") await pause(TIME_OUT_MS);
  if (answer.does !== "answer" && answer.does !== "cut within") {
    response.destroy();
    return false;
  }
  const promised = answer.does === "cut within" ? answer.body.length + 100 : Buffer.byteLength(answer.body);
  const length = answer.status === 204 ? {} : { "content-length": promised };
  response.writeHead(answer.status, { "content-type": "application/json", ...length, ...answer.headers });
  if (answer.does === "cut within") {
    response.write(answer.body, () => response.destroy());
    return false;
  }
  return new Promise((resolve) => {
    response.once("close", () => resolve(response.writableFinished));
    response.once("finish", () => resolve(true));
    response.end(answer.status === 204 ? undefined : answer.body);
  });
}
