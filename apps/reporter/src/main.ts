import { randomUUID } from "node:crypto";
import { createFaultHandler } from "@async-mail/db/fault";
import { seedScheduler } from "@async-mail/db/seed";
import { openStore } from "@async-mail/db/sqlite/open";
import { bootReading, createClock } from "@async-mail/runtime/clock";
import { startConfig } from "@async-mail/runtime/config";
import { startKeys } from "@async-mail/runtime/key-ring";
import { createLog } from "@async-mail/runtime/log";
import { runLoop } from "@async-mail/runtime/loop";
import { createMetrics } from "@async-mail/runtime/metrics";
import { keepPresence } from "@async-mail/runtime/presence";
import { whyNotReady } from "@async-mail/runtime/readiness";
import { createShutdown } from "@async-mail/runtime/shutdown";
import { serveStatus, statusPorts } from "@async-mail/runtime/status-server";
import { systemLookup } from "@async-mail/runtime/system-lookup";
import { createWake } from "@async-mail/runtime/wake";
import self from "../package.json" with { type: "json" };
import { createClient } from "./client.ts";
import { closeDesk, loseLead, newDesk, reportAll } from "./desk.ts";
import { configuredEndpoint } from "./endpoint.ts";
import { type House, keepHouse, newChores } from "./housekeeping.ts";
import { reporterMetrics } from "./metrics.ts";
import type { Reporter } from "./report.ts";
import { withRest } from "./rest.ts";
import { createWatchdog } from "./watchdog.ts";

/** A report may be a second late; looking ten times as often would cost twice the idle CPU. */
const IDLE_LOOK_MS = 500;

const { version } = self;
const { storage, sync, delivery, scheduler, server, metrics, logging, sandbox } = startConfig("reporter");
const log = createLog({ level: logging.level, process: "reporter" });
const shutdown = createShutdown({ graceMs: delivery.shutdownGraceSeconds * 1000, log, clock: createClock(0) });
const { stopping, deadline } = shutdown;
const onFault = createFaultHandler({ log, exit: shutdown.exit });

const keys = startKeys(storage, log);
const store = await openStore({
  path: storage.dbPath,
  synchronous: storage.synchronous,
  sandbox,
  keys,
  boot: bootReading(),
});
const clock = createClock(store.steadyOffsetMs);
await seedScheduler(store, scheduler);
const measured = createMetrics({ process: "reporter", version });
const leaseMs = delivery.leaseSeconds * 1000;
const presence = await keepPresence({
  processes: store.processes,
  kind: "reporter",
  version,
  leaseMs,
  clock,
  log,
  onError: onFault,
});
const status = await serveStatus({
  host: metrics.host,
  ports: statusPorts("reporter", metrics.port),
  registry: measured.registry,
  tokens: { api: server.apiToken, metrics: metrics.token },
  allowAnonymous: server.allowAnonymous,
  ready: () => whyNotReady({ stopping, stands: presence.stands, checkWritable: store.service.checkWritable }),
  log,
});
log.started({ version, database: storage.dbPath, number: presence.process() });

const counted = reporterMetrics(measured, store.busy);
const configured = configuredEndpoint(sync);
const house: House = {
  store,
  presence,
  clock,
  log,
  metrics: counted,
  watchdog: createWatchdog({ store, clock, log, afterMs: delivery.stalledAfterSeconds * 1000 }),
  configured: configured !== null,
  retentionMs: delivery.deliveryReportRetentionSeconds * 1000,
  reportMaxAgeMs: sync.reportMaxAgeSeconds * 1000,
  messageMaxAgeMs: delivery.maxAgeSeconds * 1000,
};
const chores = newChores(clock.now().steadyMs);
const timeoutMs = sync.proxySyncTimeoutSeconds * 1000;
const calling = {
  timeoutMs,
  userAgent: `gnr-async-mail-service/${version}`,
  newId: randomUUID,
  lookup: systemLookup({ patienceMs: timeoutMs }),
};
const reporter: Reporter = {
  store,
  configured,
  connect: (endpoint) => createClient(endpoint, calling),
  presence,
  clock,
  log,
  metrics: counted,
  random: Math.random,
  batchSize: sync.proxySyncBatchSize,
  intervalMs: sync.proxySyncIntervalSeconds * 1000,
  timezone: scheduler.timezone,
  deadline,
};
const wake = createWake({ changed: () => store.changed(), clock, idleMs: IDLE_LOOK_MS });
const desk = newDesk({ onEnd: wake.nudge, onError: (error) => onFault(error, "reporting") });
presence.onLost(() => loseLead(desk));
const running = [
  runLoop({
    pass: () => keepHouse(house, chores),
    clock,
    signal: stopping,
    onError: (error) => onFault(error, "housekeeping"),
  }),
  runLoop({
    pass: withRest(() => reportAll(reporter, desk), clock),
    wake,
    clock,
    signal: stopping,
    onError: (error) => onFault(error, "reporting"),
  }),
];

await shutdown.run(async () => {
  await Promise.all(running);
  await closeDesk(desk);
  await presence.leave();
  await status.close();
  await store.close();
});
