import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Pool } from "undici";

/** An application that posts its mail and takes the reports: the client of the service that is measured. */
export type Application = {
  /** Where it wants its reports. */
  url: string;
  /** Ends of messages that it has acknowledged. */
  reported(): number;
  /** Resolves when it has acknowledged so many. */
  untilReported(count: number): Promise<void>;
  /** Posts a body of add-messages, with a tenant's key or the API token; throws unless all of it was queued. */
  post(api: string, body: string, token?: string): Promise<void>;
  close(): Promise<void>;
};

const PATIENCE_MS = 900_000;

type Report = { sent_ts: number | null; error_ts: number | null };

export async function startApplication(): Promise<Application> {
  const pools = new Map<string, Pool>();
  let reported = 0;
  let awaited: { count: number; resolve(): void } | null = null;

  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    const { delivery_report: reports } = JSON.parse(text) as { delivery_report: Report[] };
    response.writeHead(200, { "content-type": "application/json" }).end('{"ok":true}');
    reported += reports.filter(({ sent_ts, error_ts }) => sent_ts !== null || error_ts !== null).length;
    if (awaited !== null && reported >= awaited.count) awaited.resolve();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/reports`,
    reported: () => reported,
    untilReported: (count) =>
      new Promise((resolve, reject) => {
        const late = () => reject(new Error(`${reported} of ${count} were reported within ${PATIENCE_MS / 1000} s`));
        const timer = setTimeout(late, PATIENCE_MS);
        const done = () => {
          clearTimeout(timer);
          resolve();
        };
        awaited = { count, resolve: done };
        if (reported >= count) done();
      }),
    async post(api, body, token = "test-token") {
      const pool = pools.get(api) ?? new Pool(api, { connections: 64 });
      pools.set(api, pool);
      const { statusCode, body: answer } = await pool.request({
        method: "POST",
        path: "/commands/add-messages",
        headers: { "content-type": "application/json", "x-api-token": token },
        body,
      });
      const text = await answer.text();
      if (statusCode !== 200 || !text.includes('"rejected":[]'))
        throw new Error(`the API answered ${statusCode} ${text}`);
    },
    async close() {
      await Promise.all([...pools.values()].map((pool) => pool.close()));
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
