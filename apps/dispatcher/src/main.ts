import { availableParallelism, hostname } from "node:os";
import { createFaultHandler } from "@async-mail/db/fault";
import { seedScheduler } from "@async-mail/db/seed";
import { openStore } from "@async-mail/db/sqlite/open";
import { type Account, defaultAccount } from "@async-mail/domain/account";
import { meanings } from "@async-mail/domain/reply-meaning";
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
import { createWake } from "@async-mail/runtime/wake";
import self from "../package.json" with { type: "json" };
import { accountInUse } from "./account-in-use.ts";
import { createAttachmentCache } from "./attachments/cache.ts";
import { createAttachments } from "./attachments/gather.ts";
import { passwordsInClear } from "./clear-passwords.ts";
import { createComposer } from "./composer.ts";
import { openConnection } from "./connection.ts";
import { type Dispatcher, dispatchDue } from "./dispatch.ts";
import { ehloName } from "./ehlo-name.ts";
import { createFlight } from "./flight.ts";
import { dispatcherMetrics } from "./metrics.ts";
import { createRelay } from "./relay.ts";
import { createReservations } from "./reservations.ts";
import { createSettler } from "./settler.ts";
import { leave } from "./stop.ts";
import { tenantEgress } from "./tenant-egress.ts";
import { createVerifications } from "./verify.ts";
import { createWithholding } from "./withholding.ts";

/** More threads than this compose faster than one process can send. */
const MOST_THREADS = 4;
/** An idle dispatcher is expected to begin within 100 ms, and to cost next to nothing. */
const IDLE_LOOK_MS = 90;

const SWEEP_MS = 60_000;

/** Of a tenant's mail server. */
const LOOKUP_MS = 10_000;

/** Outcomes and claims of so long share a commit. What was claimed ahead keeps the connections busy meanwhile. */
const REST_MS = 10;

const { version } = self;
const { storage, smtp, delivery, attachments, s3, scheduler, server, metrics, logging, sandbox } =
  startConfig("dispatcher");
const log = createLog({ level: logging.level, process: "dispatcher" });
const shutdown = createShutdown({ graceMs: delivery.shutdownGraceSeconds * 1000, log, clock: createClock(0) });
const { stopping, deadline } = shutdown;
const onFault = createFaultHandler({ log, exit: shutdown.exit });

const boot = bootReading();
const keys = startKeys(storage, log);
const store = await openStore({
  path: storage.dbPath,
  synchronous: storage.synchronous,
  keys,
  sandbox,
  boot,
  restMs: REST_MS,
});
const clock = createClock(store.steadyOffsetMs);
await seedScheduler(store, scheduler); // before the first claim: it may be configured as suspended
const configured = defaultAccount(smtp);
await store.accounts.configureDefault(configured, clock.now());
const measured = createMetrics({ process: "dispatcher", version });
const counted = dispatcherMetrics(measured, store.busy);
const leaseMs = delivery.leaseSeconds * 1000;
const presence = await keepPresence({
  processes: store.processes,
  kind: "dispatcher",
  version,
  leaseMs,
  clock,
  log,
  onError: onFault,
});
const status = await serveStatus({
  host: metrics.host,
  ports: statusPorts("dispatcher", metrics.port),
  registry: measured.registry,
  tokens: { api: server.apiToken, metrics: metrics.token },
  allowAnonymous: server.allowAnonymous,
  ready: () => whyNotReady({ stopping, stands: presence.stands, checkWritable: store.service.checkWritable }),
  log,
});
log.started({ version, database: storage.dbPath, number: presence.process() });

const ehlo = await ehloName(smtp.ehloName, hostname());
if (ehlo.guessed)
  log.warning(`this machine has no full domain name; servers are greeted as ${ehlo.name}: set smtp.ehlo_name`);
const connecting = {
  ehloName: ehlo.name,
  tlsCa: smtp.tlsCa,
  mayCrossInClear: passwordsInClear(smtp.plainAuthHosts),
  tenantEgress: tenantEgress({
    tenantHosts: smtp.tenantHosts,
    ownPorts: [server.port, ...statusPorts("dispatcher", metrics.port), ...statusPorts("reporter", metrics.port)],
    patienceMs: LOOKUP_MS,
  }),
  dataReplyTimeoutMs: delivery.dataReplyTimeoutSeconds * 1000,
  monotonicMs: clock.monotonicMs,
};

const wake = createWake({ changed: () => store.changed(), clock, idleMs: IDLE_LOOK_MS });
const flight = createFlight(wake.nudge, clock.monotonicMs);
const cache = {
  folder: `${storage.dbPath}.attachments`,
  bootId: boot.bootId,
  maxBytes: attachments.cacheMaxBytes,
  maxAgeMs: attachments.cacheSeconds * 1000,
};
const attachmentCache = createAttachmentCache(cache);
const fetching = createAttachments({
  contents: store.queue.contents,
  sources: store.tenants.sources,
  settings: {
    cache,
    maxBytes: attachments.maxBytes,
    timeoutMs: attachments.timeoutSeconds * 1000,
    bytesAtOnce: delivery.maxBytesInFlight,
    allowHosts: attachments.allowHosts,
    s3,
  },
  onError: (error) => log.failed(error, { what: "fetching thread" }),
});
const composer = createComposer({
  threads: Math.min(MOST_THREADS, availableParallelism()),
  onError: (error) => log.failed(error, { what: "composing thread" }),
});
const reservations = createReservations();
const relay = createRelay({
  openConnection: (account: Account, signal) => openConnection(account, connecting, signal),
  share: reservations.share,
  maxConnections: delivery.maxConnections,
  monotonicMs: clock.monotonicMs,
  onSession: counted.session,
});
const settler = createSettler({ store, clock, log, giveUp: deadline });
presence.onLost(() => {
  reservations.forget();
  relay.drop();
});

const verifications = createVerifications({
  store,
  presence,
  clock,
  relay,
  reservations,
  maxConnectionsPerAccount: delivery.maxConnectionsPerAccount,
  accountInUse: (account) => accountInUse(account, configured),
  stopping,
  onError: (error) => onFault(error, "verifying"),
});

const dispatcher: Dispatcher = {
  store,
  presence,
  clock,
  log,
  metrics: counted,
  flight,
  relay,
  reservations,
  withholding: createWithholding({ store, relay, flight, presence, clock }),
  verifications,
  composer,
  settler,
  delivery: {
    attachments: fetching,
    composer,
    relay,
    settler,
    clock,
    log,
    metrics: counted,
    defaultAccount: configured,
    onAmbiguous: delivery.onAmbiguous,
    policy: {
      retryDelaysMs: delivery.retryDelaysSeconds.map((seconds) => seconds * 1000),
      maxAgeMs: delivery.maxAgeSeconds * 1000,
      meaningOf: meanings(delivery.replyMeanings),
    },
    maxMessageBytes: attachments.maxMessageBytes,
    random: Math.random,
  },
  capacity: delivery.maxConnections * 2,
  maxBytesInFlight: delivery.maxBytesInFlight,
  maxConnectionsPerAccount: delivery.maxConnectionsPerAccount,
  intervalMs: delivery.sendIntervalSeconds * 1000,
  empty: null,
  soloWaiting: false,
};
const running = runLoop({
  pass: () => dispatchDue(dispatcher),
  wake,
  clock,
  signal: stopping,
  onError: (error) => onFault(error, "dispatching"),
});
const sweeping = runLoop({
  pass: async () => {
    const failure = await attachmentCache.sweep(clock.now().wallMs);
    if (failure !== null) log.warning(`fetched attachments could not be removed: ${failure}`);
    return { waitMs: SWEEP_MS };
  },
  clock,
  signal: stopping,
  onError: (error) => onFault(error, "sweeping fetched attachments"),
});
deadline.addEventListener("abort", () => relay.cut());

await shutdown.run(async () => {
  relay.stop();
  fetching.stop();
  await Promise.all([running, sweeping]);
  await verifications.answered();
  await leave({ flight, relay, composer, attachments: fetching, presence, deadline });
  await status.close();
  await store.close();
});
