import { createApp } from "@async-mail/api/app";
import { createBodies } from "@async-mail/api/body";
import { createCursors } from "@async-mail/api/cursor";
import { createApiMetrics } from "@async-mail/api/metrics";
import { loadConfig } from "@async-mail/runtime/config";
import { createLog } from "@async-mail/runtime/log";
import { temporaryStore } from "../../support/database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

/** The routes without a server, on a store of their own; the API token is `secret`, log lines go into `lines`. */
export async function anApp(lines: string[] = []) {
  const { store, clock, close } = await temporaryStore();
  const { config } = loadConfig({ argv: [], env: {}, cwd: temporaryFolder() });
  const app = createApp({
    config,
    store,
    clock,
    log: createLog({ level: "info", process: "api", destination: { write: (line) => lines.push(line) } }),
    metrics: createApiMetrics("0", store.busy),
    bodies: createBodies(config.server, { store }),
    cursors: createCursors("secret"),
    version: "0",
    apiToken: "secret",
    newMessageId: (domain) => `<id@${domain}>`,
    newKey: () => "key",
    stands: () => true,
    stopping: new AbortController().signal,
  });
  return { app, close };
}
