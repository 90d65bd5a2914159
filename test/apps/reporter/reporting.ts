import type { TestContext } from "node:test";
import type { Claim } from "@async-mail/db/store";
import type { Message } from "@async-mail/domain/message";
import type { Outcome } from "@async-mail/domain/outcome";
import { DEFAULT_TENANT, type TenantChange } from "@async-mail/domain/tenant";
import { type ClientOptions, createClient } from "@async-mail/reporter/client";
import { closeDesk, type Desk, finished, loseLead, newDesk, reportAll } from "@async-mail/reporter/desk";
import { configuredEndpoint, type SyncSettings } from "@async-mail/reporter/endpoint";
import { type House, keepHouse, newChores } from "@async-mail/reporter/housekeeping";
import { reporterMetrics } from "@async-mail/reporter/metrics";
import type { Reporter } from "@async-mail/reporter/report";
import type { Session } from "@async-mail/reporter/session";
import { createWatchdog } from "@async-mail/reporter/watchdog";
import { createLog } from "@async-mail/runtime/log";
import { createMetrics } from "@async-mail/runtime/metrics";
import { systemLookup } from "@async-mail/runtime/system-lookup";
import type { TestClock } from "../../support/clock.ts";
import { type TemporaryStore, temporaryStore } from "../../support/database.ts";
import { aCheckedAccount, aCheckedMessage } from "../../support/messages.ts";
import { type SyncAnswer, type SyncCall, type SyncClient, startSyncClient } from "../../support/sync-client.ts";

// biome-ignore lint/suspicious/noExplicitAny: a test looks into log lines freely, and fails where they are otherwise.
type LogLine = any;

export type Reporting = {
  store: TemporaryStore["store"];
  clock: TestClock;
  /** The application's endpoint. */
  client: SyncClient;
  reporter: Reporter;
  desk: Desk;
  /** With the client of a tenant, of `default` where none is named. */
  session(tenant?: string): Session;
  log: LogLine[];
  /** One pass, and the end of the calls it began; answers for how long there is nothing to do. */
  pass(): Promise<number>;
  /** Passes until there is nothing to do now, `advanceMs` later. */
  passes(advanceMs?: number): Promise<number>;
  /** What housekeeping works on. */
  house(overrides?: Partial<House>): House;
  /** Housekeeping, until nothing is due now. */
  tidy(overrides?: Partial<House>): Promise<void>;
  /** Hands over messages of these ids to the queue. */
  enqueue(...ids: string[]): Promise<void>;
  enqueueAs(overrides: Partial<Message>): Promise<void>;
  /** Claims what is due and ends each as told. */
  settle(outcome: Outcome): Promise<Claim[]>;
  /** Enqueues and sends. */
  sent(...ids: string[]): Promise<void>;
  /** The ids of each call so far. */
  posted(): string[][];
  reportedMs(id: string): Promise<number | null | undefined>;
  metric(name: string): Promise<number | undefined>;
  /** Another tenant, with an account and an endpoint of its own. */
  tenant(id: string, options?: TenantOptions): Promise<TenantReporting>;
  /** As after a new start of the process: only the store remembers. */
  restart(): void;
  /** A reporter of its own process, with a session of its own. */
  another(): Promise<{ presence: Reporter["presence"]; pass(): Promise<number> }>;
};

export const SENT: Outcome = {
  kind: "sent",
  code: 250,
  response: "250 2.0.0 queued as 1",
  recipients: [],
  mailFromSent: true,
};
export const REFUSED: Outcome = {
  kind: "error",
  error: "550 5.1.1 no such user",
  code: 550,
  response: "550 5.1.1 no such user",
  recipients: [],
  mailFromSent: true,
};

type Options = {
  reporter?: Partial<Reporter>;
  /** What the configuration says. */
  sync?: Partial<SyncSettings>;
  client?: Partial<ClientOptions>;
  answer?: (call: SyncCall) => SyncAnswer | Promise<SyncAnswer>;
};

export type TenantOptions = {
  change?: TenantChange;
  answer?: (call: SyncCall) => SyncAnswer | Promise<SyncAnswer>;
};

export type TenantReporting = {
  store: ReturnType<TemporaryStore["store"]["of"]>;
  client: SyncClient;
  /** Enqueues and sends. */
  sent(...ids: string[]): Promise<void>;
  /** The ids of each call so far. */
  posted(): string[][];
  reportedMs(id: string): Promise<number | null | undefined>;
};

/** A reporter on a real file with a real client, whose passes are called and whose time the test moves. */
export async function reporting(t: TestContext, options: Options = {}): Promise<Reporting> {
  const { store, clock, close } = await temporaryStore();
  const endpoints: SyncClient[] = [];
  const client = await endpoint(options.answer);
  t.after(async () => {
    // Ends what hangs.
    await Promise.all(endpoints.map((one) => one.close()));
    await closeDesk(desk);
    await close();
  });
  const log: LogLine[] = [];
  const destination = { write: (line: string) => void log.push(JSON.parse(line)) };
  const metrics = createMetrics({ process: "reporter", version: "0.0.0" });
  const dispatcher = await register("dispatcher");
  await store.of(DEFAULT_TENANT).accounts.put(aCheckedAccount(), { keepPassword: false }, clock.now());

  const reporter: Reporter = {
    store,
    configured: configuredEndpoint({ ...SYNC, proxySyncUrl: client.url, ...options.sync }),
    connect: (to) => createClient(to, { ...CLIENT, ...options.client }),
    presence: { process: await registered("reporter"), stands: () => true },
    clock,
    log: createLog({ level: "debug", process: "reporter", destination }),
    metrics: reporterMetrics(metrics, store.busy),
    random: () => 0,
    batchSize: 1000,
    intervalMs: 300_000,
    timezone: "UTC",
    deadline: new AbortController().signal,
    ...options.reporter,
  };
  let ended = false;
  const faults: unknown[] = [];
  const ending = {
    onEnd: () => {
      ended = true;
    },
    onError: (error: unknown) => {
      faults.push(error);
      return 0;
    },
  };
  const desk = newDesk(ending);
  const pass = () => passAt(reporter, desk);

  async function passAt(one: Reporter, at: Desk): Promise<number> {
    ended = false;
    const { waitMs } = await reportAll(one, at);
    await finished(at);
    for (const fault of faults.splice(0)) throw fault;
    return ended ? 0 : waitMs;
  }

  function register(kind: "dispatcher" | "reporter"): Promise<number> {
    return store.processes.register({ kind, pid: 1, host: "test", version: "0.0.0" }, clock.now());
  }

  async function registered(kind: "reporter"): Promise<() => number> {
    const number = await register(kind);
    return () => number;
  }

  async function endpoint(answer?: Options["answer"]): Promise<SyncClient> {
    const started = await startSyncClient(answer ? { answer } : {});
    endpoints.push(started);
    return started;
  }

  async function passes(advanceMs = 0): Promise<number> {
    await clock.advance(advanceMs);
    for (;;) {
      const waitMs = await pass();
      if (waitMs > 0) return waitMs;
    }
  }

  const houseLog = createLog({ level: "debug", process: "reporter", destination });
  const watchdog = createWatchdog({ store, clock, log: houseLog, afterMs: 60_000 });

  function house(overrides: Partial<House> = {}): House {
    return {
      ...reporter,
      store,
      log: houseLog,
      watchdog,
      configured: true,
      retentionMs: 604_800_000,
      reportMaxAgeMs: 0,
      messageMaxAgeMs: 172_800_000,
      ...overrides,
    };
  }

  async function enqueueAs(overrides: Partial<Message>, tenant = DEFAULT_TENANT): Promise<void> {
    const message = aCheckedMessage({ accountId: "account-1", ...overrides });
    const [answer] = await store.of(tenant).messages.enqueue([message], clock.now());
    if (answer !== "queued") throw new Error(`${message.id}: ${answer}`);
  }

  async function enqueue(...ids: string[]): Promise<void> {
    for (const id of ids) await enqueueAs({ id });
  }

  async function sentBy(tenant: string, ids: string[]): Promise<void> {
    for (const id of ids) await enqueueAs({ id }, tenant);
    const left = new Set(ids);
    while (left.size > 0) {
      const claims = await settle(SENT);
      if (claims.length === 0) throw new Error(`not claimed: ${[...left]}`);
      for (const claim of claims) left.delete(claim.id);
    }
  }

  async function reportedMs(tenant: string, id: string): Promise<number | null | undefined> {
    return (await store.of(tenant).messages.get(id, clock.now()))?.reportedMs;
  }

  async function settle(outcome: Outcome): Promise<Claim[]> {
    const request = {
      process: dispatcher,
      slots: 5000,
      capacity: 5000,
      bytes: 1e9,
      held: new Map(),
      maxConnectionsPerAccount: 5000,
    };
    const answer = await store.queue.claimDue(request, clock.now());
    if (answer.kind !== "claimed") throw new Error(`claimed nothing: ${answer.kind}`);
    for (const claim of answer.claims) await store.queue.settle(claim, outcome, clock.now());
    return answer.claims;
  }

  return {
    store,
    clock,
    client,
    reporter,
    desk,
    session: (tenant = DEFAULT_TENANT) => desk.sessions.get(tenant)!,
    log,
    pass,
    passes,
    enqueue,
    enqueueAs,
    settle,
    sent: (...ids) => sentBy(DEFAULT_TENANT, ids),
    posted: () => postedTo(client),
    reportedMs: (id) => reportedMs(DEFAULT_TENANT, id),
    async metric(name) {
      const { values } = await metrics.registry.getSingleMetric(`asyncmail_${name}`)!.get();
      return values.reduce((sum, one) => sum + one.value, 0);
    },
    house,
    async tidy(overrides) {
      const chores = newChores(clock.now().steadyMs);
      while (chores.some((chore) => chore.dueMs <= clock.now().steadyMs)) await keepHouse(house(overrides), chores);
    },
    async tenant(id, { change, answer } = {}) {
      const its = await endpoint(answer);
      const clientBaseUrl = `http://127.0.0.1:${its.port}`;
      await store.tenants.put(id, { clientBaseUrl, ...change }, `hash of ${id}`, clock.now());
      await store.of(id).accounts.put(aCheckedAccount(), { keepPassword: false }, clock.now());
      return {
        store: store.of(id),
        client: its,
        sent: (...ids) => sentBy(id, ids),
        posted: () => postedTo(its),
        reportedMs: (message) => reportedMs(id, message),
      };
    },
    restart: () => loseLead(desk),
    async another() {
      const number = await register("reporter");
      const presence = { process: () => number, stands: () => true };
      const itsDesk = newDesk(ending);
      t.after(() => closeDesk(itsDesk));
      return { presence, pass: () => passAt({ ...reporter, presence }, itsDesk) };
    },
  };
}

function postedTo({ calls }: SyncClient): string[][] {
  return calls.map((call) => call.body.delivery_report.map((item) => item.id));
}

const SYNC: SyncSettings = {
  proxySyncUrl: null,
  proxySyncUser: null,
  proxySyncPassword: null,
  proxySyncToken: null,
  signingSecret: null,
  acknowledge: "body",
};

const CLIENT: ClientOptions = {
  timeoutMs: 5000,
  userAgent: "test",
  newId: () => "id",
  lookup: systemLookup({ patienceMs: 5000 }),
};
