import { randomUUID } from "node:crypto";
import { createFaultHandler } from "@async-mail/db/fault";
import { seedScheduler } from "@async-mail/db/seed";
import { openStore } from "@async-mail/db/sqlite/open";
import { bootReading, createClock } from "@async-mail/runtime/clock";
import { startConfig } from "@async-mail/runtime/config";
import { createLog } from "@async-mail/runtime/log";
import { runLoop } from "@async-mail/runtime/loop";
import { createMetrics } from "@async-mail/runtime/metrics";
import { keepPresence } from "@async-mail/runtime/presence";
import { whyNotReady } from "@async-mail/runtime/readiness";
import { createShutdown } from "@async-mail/runtime/shutdown";
import { serveStatus, statusPorts } from "@async-mail/runtime/status-server";
import { createWake } from "@async-mail/runtime/wake";
import self from "../package.json" with { type: "json" };
import { createClient } from "./client.ts";
import { type House, keepHouse, newChores } from "./housekeeping.ts";
import { reporterMetrics } from "./metrics.ts";
import { newSession, type Reporter, reportPending } from "./report.ts";
import { createWatchdog } from "./watchdog.ts";

/** A report may be a second late; looking ten times as often would cost twice the idle CPU. */
const IDLE_LOOK_MS = 500;

const { version } = self;
const { storage, sync, delivery, scheduler, server, metrics, logging, sandbox } = startConfig("reporter");
const log = createLog({ level: logging.level, process: "reporter" });
const shutdown = createShutdown({ graceMs: delivery.shutdownGraceSeconds * 1000, log, clock: createClock(0) });
const { stopping, deadline } = shutdown;
const onFault = createFaultHandler({ log, exit: shutdown.exit });

const store = await openStore({ path: storage.dbPath, synchronous: storage.synchronous, sandbox, boot: bootReading() });
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
const house: House = {
  store,
  presence,
  clock,
  log,
  metrics: counted,
  watchdog: createWatchdog({ store, clock, log, afterMs: delivery.stalledAfterSeconds * 1000 }),
  reports: sync.proxySyncUrl !== null,
  retentionMs: delivery.deliveryReportRetentionSeconds * 1000,
  reportMaxAgeMs: sync.reportMaxAgeSeconds * 1000,
  messageMaxAgeMs: delivery.maxAgeSeconds * 1000,
};
const chores = newChores(clock.now().steadyMs);
const running = [
  runLoop({
    pass: () => keepHouse(house, chores),
    clock,
    signal: stopping,
    onError: (error) => onFault(error, "housekeeping"),
  }),
];

const client =
  sync.proxySyncUrl === null
    ? null
    : createClient({
        url: sync.proxySyncUrl,
        user: sync.proxySyncUser,
        password: sync.proxySyncPassword,
        token: sync.proxySyncToken,
        timeoutMs: sync.proxySyncTimeoutSeconds * 1000,
        signingSecret: sync.signingSecret,
        userAgent: `gnr-async-mail-service/${version}`,
        newId: randomUUID,
      });

if (client !== null) {
  const reporter: Reporter = {
    store,
    client,
    presence,
    clock,
    log,
    metrics: counted,
    random: Math.random,
    batchSize: sync.proxySyncBatchSize,
    intervalMs: sync.proxySyncIntervalSeconds * 1000,
    timezone: scheduler.timezone,
    acknowledge: sync.acknowledge,
    deadline,
  };
  const session = newSession(reporter.batchSize);
  presence.onLost(() => session.lost.abort());
  const wake = createWake({ changed: () => store.changed(), clock, idleMs: IDLE_LOOK_MS });
  const pass = () => reportPending(reporter, session);
  running.push(runLoop({ pass, wake, clock, signal: stopping, onError: (error) => onFault(error, "reporting") }));
}

await shutdown.run(async () => {
  await Promise.all(running);
  await client?.close();
  await presence.leave();
  await status.close();
  await store.close();
});
