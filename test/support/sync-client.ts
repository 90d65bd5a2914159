import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { eventually } from "./eventually.ts";

/** One POST of the reporter, as the client got it. */
export type SyncCall = {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  /** Parsed; undefined when it was not JSON. */
  body: { delivery_report: ReportItem[] };
  rawBody: string;
  /** Wall ms. */
  at: number;
};

export type ReportItem = {
  id: string;
  account_id: string | null;
  priority: number;
  sent_ts: number | null;
  error_ts: number | null;
  error: string | null;
  deferred_ts: number | null;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into answers freely, and fails where they are otherwise.
  [field: string]: any;
};

/** What the client answers; absent fields: 200, `{"ok":true}`, at once. `cut`: the connection is destroyed. */
export type SyncAnswer =
  | { status?: number; body?: unknown; rawBody?: string; headers?: Record<string, string>; delayMs?: number }
  | "cut";

export type SyncClientOptions = {
  answer?: (call: SyncCall) => SyncAnswer | Promise<SyncAnswer>;
  port?: number;
};

export type SyncClient = {
  url: string;
  port: number;
  calls: SyncCall[];
  /** Replaceable at any time. A promise holds the answer back. */
  answer: (call: SyncCall) => SyncAnswer | Promise<SyncAnswer>;
  /** Calls under way now, and at most. */
  open: { now: number; max: number };
  /** Resolves when `count` items were posted, over all calls; answers all of them in order. */
  reports(count: number, deadlineMs?: number): Promise<ReportItem[]>;
  /** Resolves when `count` calls have come, empty ones too. */
  called(count: number, deadlineMs?: number): Promise<SyncCall[]>;
  close(): Promise<void>;
};

/** A real HTTP endpoint, as the application that gave us its mail would run one. */
export async function startSyncClient(options: SyncClientOptions = {}): Promise<SyncClient> {
  const calls: SyncCall[] = [];
  const open = { now: 0, max: 0 };

  const server = createServer(async (request, response) => {
    open.now += 1;
    open.max = Math.max(open.max, open.now);
    response.on("close", () => {
      open.now -= 1;
    });
    let rawBody = "";
    for await (const chunk of request.setEncoding("utf8")) rawBody += chunk;
    const call: SyncCall = {
      method: request.method ?? "",
      path: request.url ?? "",
      headers: request.headers,
      body: parsed(rawBody) as SyncCall["body"],
      rawBody,
      at: performance.timeOrigin + performance.now(),
    };
    calls.push(call);
    const answer = await running.answer(call);
    if (answer === "cut") return request.socket.destroy();
    if (answer.delayMs !== undefined) await pause(answer.delayMs);
    const text = answer.rawBody ?? JSON.stringify(answer.body ?? { ok: true });
    response.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers });
    response.end(answer.status === 204 ? undefined : text);
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  server.unref();

  const port = (server.address() as AddressInfo).port;
  const items = () => calls.flatMap((call) => call.body?.delivery_report ?? []);
  const running: SyncClient = {
    url: `http://127.0.0.1:${port}/sync`,
    port,
    calls,
    answer: options.answer ?? (() => ({})),
    open,
    reports: (count, deadlineMs = 5000) =>
      eventually(() => items().length >= count && items(), deadlineMs, `report ${count} at the client`),
    called: (count, deadlineMs = 5000) =>
      eventually(() => calls.length >= count && [...calls], deadlineMs, `call ${count} at the client`),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return running;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
