import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";

/** Stands in for the application that hands its mail to the service and wants to know what came of it. */
export type ReportDesk = {
  url: string;
  /** Resolves when the end of that message has been reported. */
  reported(id: string, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
};

type Report = { id: string; sent_ts: number | null; error: string | null; deferred_reason?: string };

/** Acknowledges every report and tells of it in one line. */
export async function openReportDesk(tell: (text: string) => void): Promise<ReportDesk> {
  const arrivals = new EventTarget();
  const server = createServer(async (request, response) => {
    const { delivery_report: reports } = (await json(request)) as { delivery_report: Report[] };
    response.writeHead(200, { "content-type": "application/json" }).end('{"ok":true}');
    for (const report of reports) {
      tell(`report  ${report.id}  ${outcome(report)}`);
      if (report.deferred_reason === undefined) arrivals.dispatchEvent(new Event(report.id));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/reports`,
    reported: async (id, signal) => void (await once(arrivals, id, { signal })),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function outcome(report: Report): string {
  if (report.sent_ts !== null) return "sent";
  if (report.error !== null) return `error: ${report.error}`;
  return `deferred: ${report.deferred_reason}`;
}
