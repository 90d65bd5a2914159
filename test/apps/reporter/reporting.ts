import type { TestContext } from "node:test";
import type { Claim, Store } from "@async-mail/db/store";
import type { Message } from "@async-mail/domain/message";
import type { Outcome } from "@async-mail/domain/outcome";
import { type ClientOptions, createClient } from "@async-mail/reporter/client";
import { type House, keepHouse, newChores } from "@async-mail/reporter/housekeeping";
import { reporterMetrics } from "@async-mail/reporter/metrics";
import { newSession, type Reporter, reportPending, type Session } from "@async-mail/reporter/report";
import { createWatchdog } from "@async-mail/reporter/watchdog";
import { createLog } from "@async-mail/runtime/log";
import { createMetrics } from "@async-mail/runtime/metrics";
import type { TestClock } from "../../support/clock.ts";
import { temporaryStore } from "../../support/database.ts";
import { aCheckedAccount, aCheckedMessage } from "../../support/messages.ts";
import { type SyncAnswer, type SyncCall, type SyncClient, startSyncClient } from "../../support/sync-client.ts";

// biome-ignore lint/suspicious/noExplicitAny: a test looks into log lines freely, and fails where they are otherwise.
type LogLine = any;

export type Reporting = {
  store: Store;
  clock: TestClock;
  /** The application's endpoint. */
  client: SyncClient;
  reporter: Reporter;
  session: Session;
  log: LogLine[];
  /** One pass; answers for how long there is nothing to do. */
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
  client?: Partial<ClientOptions>;
  answer?: (call: SyncCall) => SyncAnswer | Promise<SyncAnswer>;
};

/** A reporter on a real file with a real client, whose passes are called and whose time the test moves. */
export async function reporting(t: TestContext, options: Options = {}): Promise<Reporting> {
  const { store, clock, close } = await temporaryStore();
  const client = await startSyncClient(options.answer ? { answer: options.answer } : {});
  const calls = createClient({ ...CLIENT, url: client.url, ...options.client });
  t.after(async () => {
    await calls.close();
    await client.close();
    await close();
  });
  const log: LogLine[] = [];
  const destination = { write: (line: string) => void log.push(JSON.parse(line)) };
  const metrics = createMetrics({ process: "reporter", version: "0.0.0" });
  const dispatcher = await register("dispatcher");
  await store.accounts.put(aCheckedAccount(), { keepPassword: false }, clock.now());

  const reporter: Reporter = {
    store,
    client: calls,
    presence: { process: await registered("reporter"), stands: () => true },
    clock,
    log: createLog({ level: "debug", process: "reporter", destination }),
    metrics: reporterMetrics(metrics, store.busy),
    random: () => 0,
    batchSize: 1000,
    intervalMs: 300_000,
    timezone: "UTC",
    acknowledge: "body",
    deadline: new AbortController().signal,
    ...options.reporter,
  };
  const session = newSession(reporter.batchSize);

  function register(kind: "dispatcher" | "reporter"): Promise<number> {
    return store.processes.register({ kind, pid: 1, host: "test", version: "0.0.0" }, clock.now());
  }

  async function registered(kind: "reporter"): Promise<() => number> {
    const number = await register(kind);
    return () => number;
  }

  const pass = async () => (await reportPending(reporter, session)).waitMs;

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
      reports: true,
      retentionMs: 604_800_000,
      reportMaxAgeMs: 0,
      messageMaxAgeMs: 172_800_000,
      ...overrides,
    };
  }

  async function enqueueAs(overrides: Partial<Message>): Promise<void> {
    const message = aCheckedMessage({ accountId: "account-1", ...overrides });
    const [answer] = await store.messages.enqueue([message], clock.now());
    if (answer !== "queued") throw new Error(`${message.id}: ${answer}`);
  }

  async function enqueue(...ids: string[]): Promise<void> {
    for (const id of ids) await enqueueAs({ id });
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
    session,
    log,
    pass,
    passes,
    enqueue,
    enqueueAs,
    settle,
    async sent(...ids) {
      await enqueue(...ids);
      const left = new Set(ids);
      while (left.size > 0) {
        const claims = await settle(SENT);
        if (claims.length === 0) throw new Error(`not claimed: ${[...left]}`);
        for (const claim of claims) left.delete(claim.id);
      }
    },
    posted: () => client.calls.map((call) => call.body.delivery_report.map((item) => item.id)),
    reportedMs: async (id) => (await store.messages.get(id, clock.now()))?.reportedMs,
    async metric(name) {
      const { values } = await metrics.registry.getSingleMetric(`asyncmail_${name}`)!.get();
      return values.reduce((sum, one) => sum + one.value, 0);
    },
    house,
    async tidy(overrides) {
      const chores = newChores(clock.now().steadyMs);
      while (chores.some((chore) => chore.dueMs <= clock.now().steadyMs)) await keepHouse(house(overrides), chores);
    },
    restart: () => void Object.assign(session, newSession(reporter.batchSize)),
    async another() {
      const number = await register("reporter");
      const presence = { process: () => number, stands: () => true };
      const other = { ...reporter, presence };
      const itsSession = newSession(reporter.batchSize);
      return { presence, pass: async () => (await reportPending(other, itsSession)).waitMs };
    },
  };
}

const CLIENT: Omit<ClientOptions, "url"> = {
  user: null,
  password: null,
  token: null,
  timeoutMs: 5000,
  signingSecret: null,
  userAgent: "test",
  newId: () => "id",
};
