import { join } from "node:path";
import type { MessageRecord, Store } from "@async-mail/db/store";
import { createAttachments } from "@async-mail/dispatcher/attachments/gather";
import { passwordsInClear } from "@async-mail/dispatcher/clear-passwords";
import { createComposer } from "@async-mail/dispatcher/composer";
import { openConnection } from "@async-mail/dispatcher/connection";
import { type Dispatcher, dispatchDue } from "@async-mail/dispatcher/dispatch";
import { createFlight } from "@async-mail/dispatcher/flight";
import { dispatcherMetrics } from "@async-mail/dispatcher/metrics";
import { createRelay, type RelayOptions } from "@async-mail/dispatcher/relay";
import { createReservations } from "@async-mail/dispatcher/reservations";
import { createSettler } from "@async-mail/dispatcher/settler";
import { tenantEgress } from "@async-mail/dispatcher/tenant-egress";
import { createVerifications } from "@async-mail/dispatcher/verify";
import { createWithholding } from "@async-mail/dispatcher/withholding";
import type { Account } from "@async-mail/domain/account";
import type { Message } from "@async-mail/domain/message";
import { meanings } from "@async-mail/domain/reply-meaning";
import type { Log } from "@async-mail/runtime/log";
import { createMetrics } from "@async-mail/runtime/metrics";
import { type StoreOfDefault, temporaryStore } from "../../support/database.ts";
import { aCheckedAccount, aCheckedMessage } from "../../support/messages.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const NEVER = new AbortController().signal;

export type Bench = Awaited<ReturnType<typeof startBench>>;

export type BenchOptions = {
  capacity?: number;
  maxBytesInFlight?: number;
  defaultAccount?: Account | null;
  onAmbiguous?: "retry" | "fail";
  stands?: () => boolean;
  /** Puts something before the real store. */
  settle?: (settle: Store["queue"]["settle"]) => Store["queue"]["settle"];
  queue?: (queue: Store["queue"]) => Partial<Store["queue"]>;
  maxConnections?: number;
  /** That attachments may be fetched from. */
  allowHosts?: string[];
  openConnection?: RelayOptions["openConnection"];
  /** Outcomes that could not be written are given up then. */
  giveUp?: AbortSignal;
};

/** A dispatcher as main.ts builds it, on a real store and real sockets; the test calls its passes and moves its clock. */
export async function startBench(options: BenchOptions = {}) {
  const temporary = await temporaryStore();
  const { store: real, clock } = temporary;
  const store = inFront(real, options);
  const events: { event: string; fields: unknown }[] = [];
  const log = recording(events);
  let process = await store.processes.register({ kind: "dispatcher", pid: 1, host: "here", version: "0" }, clock.now());
  const presence = { process: () => process, stands: options.stands ?? (() => true) };
  const measured = createMetrics({ process: "dispatcher", version: "0" });
  const metrics = dispatcherMetrics(measured, store.busy);
  const composer = createComposer({ threads: 1, onError: (error) => log.failed(error, { what: "composer" }) });
  const attachments = createAttachments({
    contents: store.queue.contents,
    sources: store.tenants.sources,
    settings: {
      cache: {
        folder: join(temporaryFolder(), "attachments"),
        bootId: "here",
        maxBytes: 50_000_000,
        maxAgeMs: 3_600_000,
      },
      maxBytes: 5_000_000,
      timeoutMs: 5_000,
      bytesAtOnce: 100_000_000,
      allowHosts: options.allowHosts ?? [],
      s3: { endpoint: null, region: null, accessKeyId: null, secretAccessKey: null, forcePathStyle: null, allow: [] },
    },
    onError: (error) => log.failed(error, { what: "fetching" }),
  });
  const connecting = {
    ehloName: "client.example.com",
    tlsCa: null,
    mayCrossInClear: passwordsInClear([]),
    tenantEgress: tenantEgress({ tenantHosts: [], ownPorts: [], patienceMs: 5000 }),
    dataReplyTimeoutMs: 600_000,
    monotonicMs: clock.monotonicMs,
  };
  const reservations = createReservations();
  const relay = createRelay({
    openConnection: options.openConnection ?? ((account, signal) => openConnection(account, connecting, signal)),
    share: reservations.share,
    maxConnections: options.maxConnections ?? 20,
    monotonicMs: clock.monotonicMs,
    onSession: metrics.session,
  });
  const settler = createSettler({ store, clock, log, giveUp: options.giveUp ?? NEVER });
  const flight = createFlight(
    () => {},
    () => clock.monotonicMs(),
  );
  const { defaultAccount = null } = options;
  const stopping = new AbortController();
  const verifications = createVerifications({
    store,
    presence,
    clock,
    relay,
    reservations,
    maxConnectionsPerAccount: 5,
    accountInUse: (account) => account,
    stopping: stopping.signal,
    onError: (error) => log.failed(error, { what: "verifying" }),
  });

  const dispatcher: Dispatcher = {
    store,
    presence,
    clock,
    log,
    metrics,
    flight,
    relay,
    reservations,
    withholding: createWithholding({ store, relay, flight, presence, clock }),
    verifications,
    composer,
    settler,
    delivery: {
      attachments,
      composer,
      relay,
      settler,
      clock,
      log,
      metrics,
      defaultAccount,
      onAmbiguous: options.onAmbiguous ?? "retry",
      policy: { retryDelaysMs: [60_000, 300_000], maxAgeMs: 172_800_000, meaningOf: meanings() },
      maxMessageBytes: 8_000_000,
      random: () => 0,
    },
    capacity: options.capacity ?? 40,
    maxBytesInFlight: options.maxBytesInFlight ?? 100_000_000,
    maxConnectionsPerAccount: 5,
    intervalMs: 500,
    empty: null,
    soloWaiting: false,
  };
  return {
    store,
    clock,
    events,
    flight,
    relay,
    composer,
    attachments,
    settler,
    dispatcher,
    reservations,
    verifications,
    stopping,
    registry: measured.registry,
    path: temporary.path,
    again: temporary.again,
    process: () => process,
    /** Others struck this process off, and it has a new number; its relay hears of that only when `told`. */
    async strikeOff(told = true): Promise<void> {
      const [row] = await store.processes.list();
      await store.processes.strikeOff(process, row?.beat ?? 0, clock.now());
      // As main.ts hears of it.
      reservations.forget();
      if (told) relay.drop();
      process = await store.processes.register({ kind: "dispatcher", pid: 1, host: "here", version: "0" }, clock.now());
    },
    account: (account: Partial<Account>) =>
      store.accounts.put(aCheckedAccount({ timeoutSeconds: 2, ...account }), { keepPassword: false }, clock.now()),
    async enqueue(message: Partial<Message> = {}): Promise<string> {
      const checked = aCheckedMessage({ accountId: "account-1", ...message });
      const [outcome] = await store.messages.enqueue([checked], clock.now());
      if (outcome !== "queued") throw new Error(`${checked.id}: ${outcome}`);
      return checked.id;
    },
    pass: () => dispatchDue(dispatcher),
    /** Takes one request and answers it. */
    async verify(): Promise<void> {
      await verifications.look();
      await verifications.answered();
    },
    landed: () => flight.landed(NEVER),
    /** One pass, and all that it began. */
    async dispatch(): Promise<void> {
      await dispatchDue(dispatcher);
      await flight.landed(NEVER);
    },
    async record(id: string): Promise<MessageRecord & { history: { outcome: string }[] }> {
      const record = await store.messages.get(id, clock.now());
      if (record === null) throw new Error(`no message ${id}`);
      return record;
    },
    async close(): Promise<void> {
      await relay.close();
      await Promise.all([composer.close(), attachments.close()]);
      await temporary.close();
    },
  };
}

function inFront(store: StoreOfDefault, { settle, queue }: BenchOptions) {
  const settling = settle ? { settle: settle(store.queue.settle) } : {};
  return { ...store, queue: { ...store.queue, ...settling, ...queue?.(store.queue) } };
}

/** Every event as a row; which line it becomes is the log's own test. */
function recording(events: { event: string; fields: unknown }[]): Log {
  return new Proxy({} as Log, {
    get: (_, event) => (fields: unknown) => void events.push({ event: String(event), fields }),
  });
}
