import { randomBytes, randomUUID } from "node:crypto";
import { createFaultHandler } from "@async-mail/db/fault";
import { seedScheduler } from "@async-mail/db/seed";
import { openStore } from "@async-mail/db/sqlite/open";
import { defaultAccount } from "@async-mail/domain/account";
import { bootReading, createClock } from "@async-mail/runtime/clock";
import { startConfig } from "@async-mail/runtime/config";
import { startKeys } from "@async-mail/runtime/key-ring";
import { createLog } from "@async-mail/runtime/log";
import { keepPresence } from "@async-mail/runtime/presence";
import { createShutdown } from "@async-mail/runtime/shutdown";
import manifest from "../package.json" with { type: "json" };
import { createApp } from "./app.ts";
import { createBodies } from "./body.ts";
import { createCursors } from "./cursor.ts";
import { listen } from "./listen.ts";
import { createApiMetrics } from "./metrics.ts";
import { keptToken } from "./token.ts";

/** Between two commits: dispatchers find the lock free meanwhile, and requests that come share the next one. */
const REST_MS = 1;

/** Of tokens and tenants' keys. */
const KEY_BYTES = 32;

const { version } = manifest;
const config = startConfig("api");
const { storage, server, delivery } = config;
const log = createLog({ level: config.logging.level, process: "api" });

const shutdown = createShutdown({ graceMs: delivery.shutdownGraceSeconds * 1000, log, clock: createClock(0) });
const keys = startKeys(storage, log);
const store = await openStore({
  path: storage.dbPath,
  synchronous: storage.synchronous,
  keys,
  sandbox: config.sandbox,
  boot: bootReading(),
  restMs: REST_MS,
});
const clock = createClock(store.steadyOffsetMs);
await store.accounts.configureDefault(defaultAccount(config.smtp), clock.now());
await seedScheduler(store, config.scheduler);

const presence = await keepPresence({
  processes: store.processes,
  kind: "api",
  version,
  leaseMs: delivery.leaseSeconds * 1000,
  clock,
  log,
  onError: createFaultHandler({ log, exit: shutdown.exit }),
});
log.started({ version, database: storage.dbPath, number: presence.process() });
if (keys.exposed()) log.keyExposed({ file: keys.file });

const apiToken = server.allowAnonymous ? null : (server.apiToken ?? (await madeToken()));
const app = createApp({
  config,
  store,
  clock,
  log,
  metrics: createApiMetrics(version, store.busy),
  bodies: createBodies(server, { store }),
  cursors: createCursors(apiToken ?? ""),
  version,
  apiToken,
  newMessageId: (domain) => `<${randomUUID()}@${domain}>`,
  newKey: () => randomBytes(KEY_BYTES).toString("base64url"),
  stands: presence.stands,
  stopping: shutdown.stopping,
});
const listener = await listen(app, server);
log.listening({ url: listener.url });

await shutdown.run(async () => {
  await listener.close(shutdown.deadline);
  await presence.leave();
  await store.close();
});

async function madeToken(): Promise<string> {
  const { token, file, made } = await keptToken(storage.dbPath, randomBytes(KEY_BYTES).toString("base64url"));
  if (made) log.tokenMade({ file });
  return token;
}
