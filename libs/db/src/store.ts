import type { Account } from "@async-mail/domain/account";
import type { ShownPayload } from "@async-mail/domain/attachment-secrets";
import type { Message, Payload, Priority } from "@async-mail/domain/message";
import type { DeferralClass, Outcome, Recipient } from "@async-mail/domain/outcome";
import type { Rule } from "@async-mail/domain/schedule";
import type { ClientAuth, TenantChange, TenantFields } from "@async-mail/domain/tenant";
import type { Instant } from "@async-mail/domain/time";

/**
 * The port to storage: what the three processes can ask of the file they share. Every verb is asynchronous, so that
 * a second engine can stand beside SQLite's. A verb that writes is one transaction (large ones are several, and
 * answer after the last) and has been synced to disk when its promise resolves. A verb throws `StorageBusy` when the
 * file stayed locked past the verb's deadline, and `StorageUnavailable` when the disk or the file refuses.
 */
export type Store = {
  /** All that belongs to one tenant, by its `tenant`: nothing of another's can be reached through it. */
  of(tenant: string): TenantStore;
  tenants: TenantDirectory;
  queue: QueueStore;
  accounts: AccountsInUse;
  rules: RuleStore;
  processes: ProcessStore;
  service: ServiceStore;
  housekeeping: HousekeepingStore;
  /** Encrypts all secrets with another key, while everything runs: a new one, or the configured one. Throws what the keys throw. */
  rotateKey(): Promise<Rotation>;
  /** True when another process has committed since the last call. Cheap: reads no table. */
  changed(): boolean;
  busy(): Busy;
  close(): Promise<void>;
};

/** The keys of the secrets in the file, by their ids. */
export type Keys = {
  /** Where those stand that are not configured. */
  file: string;
  configured: boolean;
  /** Looks again where others may have added one. */
  find(id: string): Buffer | null;
  newest(): { id: string; key: Buffer } | null;
  ids(): string[];
  /** The newest, made where there is none. */
  make(): { id: string; key: Buffer };
  add(): { id: string; key: Buffer };
  drop(ids: readonly string[]): void;
};

/**
 * `unopened`: secrets that no key opens, left as they were. `scrubbed` false: others were reading, so the reporter will
 * write the file anew, which may hold what the former key sealed until then.
 */
export type Rotation = { keyId: string; resealed: number; unopened: number; scrubbed: boolean };

export type TenantStore = {
  messages: MessageStore;
  accounts: AccountStore;
  reports: ReportStore;
  service: TenantServiceStore;
};

/** What other processes' locks have cost since the store was opened: tries in vain, and the time in which something waited. */
export type Busy = { retries: number; ms: number };

/** The file is locked by others; nothing was written; worth trying again. */
export class StorageBusy extends Error {
  override name = "StorageBusy";
}

/** Disk full, read-only, I/O error, not a database: nothing was written. */
export class StorageUnavailable extends Error {
  override name = "StorageUnavailable";
}

/** The tenant was deleted since it was found. Nothing was written. */
export class TenantGone extends Error {
  override name = "TenantGone";
}

/** What was asked for stands in a part of the file that is damaged: no later try will find it. */
export class StorageDamaged extends StorageUnavailable {
  override name = "StorageDamaged";
}

/** The file cannot be used by this program at all; the message says why and what to do. */
export class StorageRefused extends Error {
  override name = "StorageRefused";
}

// ---------------------------------------------------------------- messages, as the API sees them

export type MessageStore = {
  /**
   * Stores each message on its own terms; answers in the same order. An id already stored is `duplicate id`, unless it
   * ended in `error`: then it starts afresh, with its history and Message-ID. With `resent` `replaces`, an unsent one is
   * replaced (or left, where it is equal or being sent), and one that was sent is reported once more: all are `queued`.
   */
  enqueue(messages: Message[], now: Instant, resent?: "refused" | "replaces"): Promise<Enqueued[]>;
  /** Deletes whatever is not being sent right now. */
  remove(ids: string[], now: Instant): Promise<{ removed: number; notFound: string[]; inFlight: string[] }>;
  /** Puts failed messages back in the queue. */
  retry(ids: string[], now: Instant): Promise<{ retried: number; notFound: string[]; notFailed: string[] }>;
  /**
   * Deletes final messages reported before `reportedBeforeMs` (wall), and with `endedBeforeMs` also those not reported
   * that ended before it; at most `limit`, in small transactions. Answers how many.
   */
  purge(before: { reportedBeforeMs: number; endedBeforeMs: number | null }, limit?: number): Promise<number>;
  /** One page, by priority, then age. `after` is the last record of the page before. */
  list(
    filter: MessageFilter,
    after: ListPosition | null,
    limit: number,
    now: Instant,
  ): Promise<{ records: MessageRecord[]; next: ListPosition | null }>;
  /** One record with its history; null when there is none. */
  get(id: string, now: Instant): Promise<(MessageRecord & { history: HistoryEntry[] }) | null>;
};

export type Enqueued = "queued" | "duplicate id" | "account not found" | "missing account configuration";

export type MessageStatus = "pending" | "deferred" | "sent" | "error";

export type MessageFilter = {
  status?: MessageStatus;
  /** Only what is not yet final. */
  activeOnly?: boolean;
  accountId?: string;
  batchCode?: string;
};

export type ListPosition = { priority: number; key: number };

/** A row as a person would ask about it. Times are wall ms. */
export type MessageRecord = {
  id: string;
  status: MessageStatus;
  accountId: string | null;
  batchCode: string | null;
  priority: Priority;
  deferredMs: number | null;
  deferredReason: string | null;
  /** Why it has not gone out yet, and until when; null for final messages. */
  waiting: { reason: string; untilMs: number | null } | null;
  sentMs: number | null;
  errorMs: number | null;
  error: string | null;
  reportedMs: number | null;
  createdMs: number;
  updatedMs: number;
  attempts: number;
  messageId: string;
  smtpResponse: string | null;
  /** Empty when the row is damaged. */
  recipients: Recipient[];
  /** Null when the row is damaged. */
  payload: ShownPayload | null;
};

export type HistoryEntry = {
  atMs: number;
  claim: number;
  outcome: string;
  code: number | null;
  response: string | null;
  untilMs: number | null;
};

// ---------------------------------------------------------------- the queue, as the dispatcher sees it

export type QueueStore = {
  /** True when a claim would find something now (or the schema is no longer ours to use). A read; costs no transaction. */
  ready(now: Instant): Promise<boolean>;
  /** Steady ms at which the next account becomes ready; null when nothing waits. */
  nextReadyMs(): Promise<number | null>;
  /**
   * Takes up to `slots` due messages: turns between accounts, priority within, limits and connections counted, all in
   * one transaction. `lost` when the process was struck off: it must send nothing more under its old number.
   */
  claimDue(request: ClaimRequest, now: Instant): Promise<ClaimAnswer>;
  /** Its inline attachments, decoded, in order. Read apart since they may be large. */
  contents(messageKey: number): Promise<Uint8Array[]>;
  /** What this process has claimed and is not to begin now; `accountKeys`: those it has messages of. Costs no transaction. */
  withheld(process: number, accountKeys: number[], now: Instant): Promise<Withheld>;
  /** Writes what came of a claim. */
  settle(claim: ClaimRef, outcome: Outcome, now: Instant): Promise<Settled>;
  /**
   * A claim reserves `connectionShare` connections to the account for its process, and the reservation stays until
   * this call lowers it to `keep`: call it after closing connections (or when going idle with fewer open than reserved),
   * never while about to open more.
   */
  giveBackConnections(process: number, accountKey: number, keep: number, now: Instant): Promise<void>;
};

/**
 * `all`: the service is suspended. Accounts that are held or deleted, or whose tenant is suspended; messages whose batch is.
 */
export type Withheld = "all" | { accounts: ReadonlySet<number>; messages: ReadonlySet<number> };

export type Settled = {
  /** False when the claim was lost to another: then nothing was written. */
  written: boolean;
  /** The account was not held and now is, until a steady moment. */
  held: { reason: string; untilMs: number; slowed: { gapMs: number; connections: number } | null } | null;
  /** A hold of the account ended with this success. */
  released: boolean;
};

/** One is sent, one composed ahead, so that a connection never waits; more only where they leave fast. */
export const CLAIMS_PER_CONNECTION = 2;

export type ClaimRequest = {
  process: number;
  /** Free slots of this dispatcher. */
  slots: number;
  /** All slots of this dispatcher, free or not: what fairness divides. */
  capacity: number;
  /** Bytes of messages this dispatcher may still take in; at least one message is given when it has none in flight. */
  bytes: number;
  /** Claims it holds, by account key; absent: none. */
  held: ReadonlyMap<number, number>;
  /** How many of these wait for their attachments, and need no connection yet; absent: none. */
  fetching?: ReadonlyMap<number, number>;
  /** Messages it may hold beyond its slots, by account key, where they leave so fast, or holds so already; absent: none. */
  ahead?: ReadonlyMap<number, number>;
  /** The configured `max_connections_per_account`. */
  maxConnectionsPerAccount: number;
};

export type ClaimAnswer =
  | { kind: "lost" }
  | { kind: "suspended" }
  | {
      kind: "claimed";
      claims: Claim[];
      /** Messages that cannot be read any more: they were claimed, and have ended as errors. */
      damaged: { id: string; error: string }[];
      /** Claimed, but the file could not be read then: to be settled as given back. */
      unread: Omit<Claim, "payload" | "recipients">[];
      /** A message that has taken dispatchers down waits to be sent alone: claim nothing more until nothing is in flight. */
      soloWaiting: boolean;
    };

export type ClaimRef = { messageKey: number; claim: number };

/** One message, ours until settled, and all that sending it needs. */
export type Claim = ClaimRef & {
  id: string;
  tenant: string;
  /** As the tenant is known outside. */
  tenantId: string;
  accountKey: number;
  account: Account;
  /** Connections this process may have open to the account from now on. */
  connectionShare: number;
  /** Connections reserved for this process and account in the file, after this claim; given back by `giveBackConnections`. */
  reservedConnections: number;
  priority: Priority;
  /** The priority with which it goes: more than its own where it was due longest and has the place of another. */
  urgency: number;
  attempts: number;
  /** Sent alone, since it has taken dispatchers down before. */
  solo: boolean;
  createdMs: number;
  /** Wall ms of the first attempt, this one included: its Date. */
  firstAttemptMs: number;
  /** Steady ms at which it could first be sent; `max_age_seconds` counts from here. */
  firstDueMs: number;
  /** Wall ms; not worth sending after. */
  expiresMs: number | null;
  onAmbiguous: "retry" | "fail" | null;
  messageId: string;
  /** Those already accepted or refused for good are not asked again. */
  recipients: Recipient[];
  payload: Payload;
  /** Size of all of it, for bounds in memory. */
  bytes: number;
};

// ---------------------------------------------------------------- reports

export type ReportStore = {
  /** States not yet acknowledged whose time has come, oldest first. */
  due(limit: number, now: Instant): Promise<ReportRow[]>;
  /** Steady ms at which the next one is due; null when none waits. */
  nextDueMs(): Promise<number | null>;
  /** Marks exactly the states that were posted; answers how many rows still had them. */
  acknowledge(rows: ReportRef[], now: Instant): Promise<number>;
  /** The state is kept back until `untilMs` (steady), and its `tries` grows by one. */
  postpone(rows: ReportRef[], untilMs: number, now: Instant): Promise<void>;
  /** Reports older than this are given up: final messages are deleted. At most `limit`; answers how many. */
  giveUp(endedBeforeMs: number, limit: number, now: Instant): Promise<number>;
  /** Grows with every id not stored before; 0: none yet. */
  newestKey(): Promise<number>;
  /** What the reporter must remember of its client over restarts. */
  client(): Promise<ClientState>;
  saveClient(state: ClientState): Promise<void>;
  /** For people: what came of the last call. */
  saveCall(call: LastCall): Promise<void>;
};

/** `nextMs`: steady ms of the next call, if nothing happens before. */
export type LastCall = { atMs: number; outcome: string; nextMs: number | null };

export type ReportRef = { messageKey: number; seq: number };

/** A message's state to be reported. Times are wall ms. */
export type ReportRow = ReportRef & {
  id: string;
  accountId: string | null;
  priority: Priority;
  createdMs: number;
  updatedMs: number;
  sentMs: number | null;
  errorMs: number | null;
  error: string | null;
  deferredMs: number | null;
  deferredReason: string | null;
  deferredClass: DeferralClass | null;
  attempts: number;
  messageId: string;
  smtpResponse: string | null;
  recipients: Recipient[];
  /** How often this state was kept back after a refusal. */
  tries: number;
};

/** Steady ms. */
export type ClientState = { lastCallMs: number | null; quietUntilMs: number | null; lastRunNow: number };

// ---------------------------------------------------------------- accounts and rules

export type AccountStore = {
  /**
   * Inserts or replaces. `keepPassword` keeps the stored one; answers the name of the field whose change forbids that
   * (`host`, `port`, `user` or `security`), and writes nothing then. A change ends a hold.
   */
  put(
    account: Account,
    options: { keepPassword: boolean },
    now: Instant,
  ): Promise<{ ok: true } | { ok: false; changed: string }>;
  list(now: Instant): Promise<AccountRecord[]>;
  get(id: string, now: Instant): Promise<AccountRecord | null>;
  /** Its unsent messages become errors `account deleted`; those being sent finish first. Nothing when unknown. */
  remove(id: string, now: Instant): Promise<void>;
  /** By an operator, until released or `untilMs` (steady). False: unknown. */
  hold(id: string, reason: string, untilMs: number | null, now: Instant): Promise<boolean>;
  /** Ends a hold, whoever made it. False: unknown. */
  release(id: string, now: Instant): Promise<boolean>;
  /** Asks the dispatchers to log in; the key under which the answer will be. Null: unknown account. */
  askVerification(id: string, now: Instant): Promise<number | null>;
  /** Null until answered. */
  verification(key: number): Promise<{ ok: boolean; text: string } | null>;
  dropVerification(key: number): Promise<void>;
};

/** Accounts as the processes use them, whosever they are. */
export type AccountsInUse = {
  /** The configuration's own account; null when it names none. Its password is kept nowhere but in the configuration. */
  configureDefault(account: Account | null, now: Instant): Promise<void>;
  /**
   * For a dispatcher: one that nobody has taken yet, with the connection that trying it takes reserved. Never beside
   * `giveBackConnections`.
   */
  takeVerification(
    taker: Pick<ClaimRequest, "process" | "maxConnectionsPerAccount">,
    now: Instant,
  ): Promise<Verification | null>;
  answerVerification(key: number, answer: { ok: boolean; text: string }, now: Instant): Promise<void>;
};

/** A login to be tried. */
export type Verification = { key: number; accountKey: number; account: Account } & Pick<
  Claim,
  "connectionShare" | "reservedConnections"
>;

/** An account with its state. Times are wall ms. Passwords never leave the store this way. */
export type AccountRecord = {
  account: Omit<Account, "password">;
  hasPassword: boolean;
  state: "ready" | "limited" | "held";
  reason: string | null;
  untilMs: number | null;
  /** Its server found it too fast: one message every `gapMs`, over so many connections, growing back by itself. */
  slowed: { reason: string; gapMs: number; connections: number; untilMs: number } | null;
  /** Null where there is no such limit. */
  left: { perMinute: number | null; perHour: number | null; perDay: number | null; recipientsPerDay: number | null };
  pending: number;
  inFlight: number;
  createdMs: number;
  updatedMs: number;
};

export type RuleStore = {
  list(): Promise<Rule[]>;
  add(rule: Omit<Rule, "id" | "priority">): Promise<void>;
  /** Adds all if the table has never had one. */
  seed(rules: Omit<Rule, "id" | "priority">[]): Promise<void>;
  setEnabled(id: number, enabled: boolean): Promise<boolean>;
  remove(id: number): Promise<boolean>;
};

// ---------------------------------------------------------------- processes and the service

export type ProcessKind = "api" | "dispatcher" | "reporter";

export type ProcessRecord = {
  process: number;
  kind: ProcessKind;
  pid: number;
  host: string;
  version: string;
  startedMs: number;
  seenMs: number;
  /** Grows with every sign of life; one that stands still for a lease is dead to the others. */
  beat: number;
};

export type ProcessStore = {
  /** A row for this process; answers its number, never used before. */
  register(self: { kind: ProcessKind; pid: number; host: string; version: string }, now: Instant): Promise<number>;
  /** False when others have struck it off. */
  beat(process: number, now: Instant): Promise<boolean>;
  list(): Promise<ProcessRecord[]>;
  /** Strikes off a process whose beat still is `beat`; its claims are due again. False: it lives, or is gone already. */
  strikeOff(process: number, beat: number, now: Instant): Promise<boolean>;
  /** Leaves in good order: claims it still holds are given back. */
  leave(process: number, now: Instant): Promise<void>;
};

/** A tenant's own switches. */
export type TenantServiceStore = {
  /** Neither the tenant nor the service is suspended; and its unsent messages. */
  standing(): Promise<{ active: boolean; pendingMessages: number }>;
  /** Cheap: hundreds a second share a commit. */
  runNow(): Promise<void>;
  /** Grows with every run-now. */
  runNowCount(): Promise<number>;
  /** All of the tenant's mail, or the one batch, from now on, those unsent and those to come. */
  suspend(batch: string | null, by: Operator, now: Instant): Promise<Suspensions>;
  /** Ends one batch's suspension, or all of the tenant's; a tenant's word ends none of the admin's. */
  activate(batch: string | null, by: Operator, now: Instant): Promise<Suspensions>;
};

export type Operator = "admin" | "tenant";

/** `*` alone: the whole tenant. `pending`: unsent messages of what was named. */
export type Suspensions = { batches: string[]; pending: number };

export type ServiceStore = {
  status(): Promise<{ active: boolean; pendingMessages: number }>;
  /** Writes the first start's switch; nothing when it was ever written. */
  seedActive(active: boolean): Promise<void>;
  setActive(active: boolean): Promise<void>;
  /** Throws when the file cannot be written now or its schema is not ours. */
  checkWritable(): Promise<void>;
  /** Throws when the disk has no room for new messages. */
  checkRoom(): Promise<void>;
  counts(now: Instant): Promise<ServiceCounts>;
  /** Mail that could go out and has seen no attempt for `afterMs`; null: none. Cheap, whatever waits. */
  stalled(afterMs: number, now: Instant): Promise<Stall | null>;
};

export type Stall = {
  /** Their ids, the longest first. */
  accounts: string[];
  /** How long the first of them could have sent. */
  oldestMs: number;
  reason: string;
};

/** Kept by the transactions, never counted from the queue. */
export type ServiceCounts = {
  accounts: {
    tenantId: string;
    accountId: string;
    pending: number;
    sent: number;
    errors: number;
    deferred: number;
    rateLimited: number;
    held: boolean;
    slowed: boolean;
    left: AccountRecord["left"];
  }[];
  tenants: { tenantId: string; pending: number; suspended: boolean; reportsWaiting: number; oldestReportMs: number }[];
  reportsWaiting: number;
  /** Age of the oldest report that waits; 0: none. */
  oldestReportMs: number;
  /** How long the message due longest has been due; 0: none. */
  oldestDueMs: number;
  processes: Record<ProcessKind, number>;
  walBytes: number;
  databaseBytes: number;
  /** Of the disk that the file is on, for this user. */
  diskFreeBytes: number;
  /** False: all of the service is suspended. */
  active: boolean;
};

// ---------------------------------------------------------------- housekeeping, in small steps

export type HousekeepingStore = {
  /** Ends what is no longer worth sending (`expires_ts`), and what waited behind a fault of its account for longer than `maxAgeMs`. Answers how many, at most `limit`. */
  expire(maxAgeMs: number, limit: number, now: Instant): Promise<number>;
  /** Goes on with suspensions that are being ended, and removes deleted tenants that owe nobody a report (or were deleted before, in wall ms); at most `limit` rows, answers how many. */
  tidyTenants(deletedBeforeMs: number, limit: number, now: Instant): Promise<number>;
  /** Frees what only unsent messages need, and the memory of limits older than a day. */
  trim(limit: number, now: Instant): Promise<number>;
  /** Moves the write-ahead log into the file as far as readers allow. */
  checkpoint(): Promise<void>;
};

// ---------------------------------------------------------------- tenants

/** `tenant` is what all other rows name: the id, but for one made again while the old one of that id is still kept. */
export type Tenant = TenantFields & {
  tenant: string;
  id: string;
  hasKey: boolean;
  /** Wall. */
  createdMs: number;
  /** Wall. */
  updatedMs: number;
};

/** Deleted tenants are found by nobody, but still report. */
export type TenantDirectory = {
  find(id: string): Promise<Tenant | null>;
  /** By the SHA-256 of its key, in hex. */
  byKey(keyHash: string): Promise<Tenant | null>;
  /** By id. */
  list(): Promise<Tenant[]>;
  /** Inserts, or changes the fields that are given; the key replaces an earlier one. */
  put(id: string, change: TenantChange, keyHash: string, now: Instant): Promise<void>;
  /** False: unknown, or another one than `only`, by its `tenant`. */
  change(id: string, change: TenantChange, now: Instant, only?: string): Promise<boolean>;
  /** Null: none from now on. False: unknown. */
  setKey(id: string, keyHash: string | null, now: Instant): Promise<boolean>;
  /** Its key ends, its unsent messages become errors `tenant deleted`. False: unknown. */
  remove(id: string, now: Instant): Promise<boolean>;
  /** How each stands with its client. */
  syncStatus(now: Instant): Promise<SyncStatus[]>;
  /** All that may have something to report or to be polled for, deleted ones too. One look for all of them. */
  clients(): Promise<TenantClient[]>;
  /** What fetching a tenant's attachments needs. Null: unknown. */
  sources(tenant: string): Promise<TenantSources | null>;
};

/** Wall ms; null: never, or not known. */
export type SyncStatus = {
  id: string;
  lastCallMs: number | null;
  outcome: string | null;
  nextDueMs: number | null;
  quietUntilMs: number | null;
  reportsWaiting: number;
};

/** A tenant with a client to report to; the tenant `default` without `baseUrl` has the configuration's, if any. */
export type TenantClient = {
  tenant: string;
  id: string;
  /** Deleted: reported to, but not polled. */
  deleted: boolean;
  baseUrl: string | null;
  syncPath: string;
  auth: ClientAuth;
  /** Not suspended. */
  active: boolean;
  runNowCount: number;
  /** Steady ms at which its next report is due; null: none waits. */
  nextReportMs: number | null;
};

export type TenantSources = {
  id: string;
  baseUrl: string | null;
  attachmentPath: string;
  auth: ClientAuth;
  s3Prefixes: readonly string[];
};
