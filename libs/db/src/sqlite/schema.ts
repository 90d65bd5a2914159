import { sql } from "drizzle-orm";
import { check, customType, index, integer, primaryKey, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";

/**
 * The tables. Columns stand in the order of a message's life. Unless its comment says "wall", a column `…_ms` is
 * steady time (libs/domain/src/time.ts).
 */

const blob = customType<{ data: Uint8Array }>({ dataType: () => "blob" });

/** State only: short rows, since an UPDATE rewrites the whole row. What the client sent is in `payloads` and `contents`. */
export const messages = sqliteTable(
  "messages",
  {
    key: integer("key").primaryKey({ autoIncrement: true }),
    tenantId: text("tenant_id").notNull(),
    id: text("id").notNull(),
    /** As posted; null: none, so the default account's queue. */
    accountId: text("account_id"),
    batchCode: text("batch_code"),
    queue: integer("queue").notNull(),
    priority: integer("priority").notNull(),
    messageId: text("message_id").notNull(),
    bytes: integer("bytes").notNull(),
    contentBytes: integer("content_bytes").notNull(),
    recipientCount: integer("recipient_count").notNull(),
    onAmbiguous: text("on_ambiguous"),
    /** Wall. */
    createdMs: integer("created_ms").notNull(),
    /** Wall. */
    updatedMs: integer("updated_ms").notNull(),
    /** Wall. */
    expiresMs: integer("expires_ms"),
    firstDueMs: integer("first_due_ms").notNull(),

    state: text("state").notNull(),
    dueMs: integer("due_ms").notNull(),
    /** Wall; what the client asked for, or when the next attempt is. */
    deferredMs: integer("deferred_ms"),
    deferredReason: text("deferred_reason"),
    /** Its batch is suspended: no claim comes across it. Of one that was claimed meanwhile the next claim says so. */
    suspended: integer("suspended").notNull().default(0),

    /** Fences settle and release. Only grows, also over re-submission. */
    claim: integer("claim").notNull().default(0),
    process: integer("process"),
    lostClaims: integer("lost_claims").notNull().default(0),
    /** Tries in which the server was spoken to about this message. */
    attempts: integer("attempts").notNull().default(0),
    /** Wall; the Date header. */
    firstAttemptMs: integer("first_attempt_ms"),

    recipients: text("recipients"),
    smtpResponse: text("smtp_response"),
    /** Wall; when it became final. */
    endedMs: integer("ended_ms"),
    /** Wall. */
    sentMs: integer("sent_ms"),
    /** Wall. */
    errorMs: integer("error_ms"),
    error: text("error"),

    /** Fences reports. Grows over the whole file with every change of state. */
    seq: integer("seq").notNull(),
    /** When this state is to be reported; null: nothing to report. */
    reportMs: integer("report_ms"),
    reportTries: integer("report_tries").notNull().default(0),
    /** Bits of the deferral classes already acknowledged. */
    reportedClasses: integer("reported_classes").notNull().default(0),
    /** Wall; acknowledged by the client. */
    reportedMs: integer("reported_ms"),
  },
  (t) => [
    uniqueIndex("messages_id").on(t.tenantId, t.id),
    index("messages_list").on(t.tenantId, t.priority, t.key),
    index("messages_claim").on(t.queue, t.priority, t.dueMs).where(sql`state = 'waiting' AND suspended = 0`),
    index("messages_oldest").on(t.queue, t.dueMs).where(sql`state = 'waiting' AND suspended = 0`),
    index("messages_solo").on(t.dueMs).where(sql`state = 'solo' AND suspended = 0`),
    index("messages_batch")
      .on(t.tenantId, t.batchCode, t.suspended)
      .where(sql`batch_code IS NOT NULL AND ended_ms IS NULL`),
    index("messages_suspended").on(t.queue).where(sql`suspended = 1`),
    index("messages_claimed").on(t.process).where(sql`state = 'claimed'`),
    index("messages_expiring").on(t.expiresMs).where(sql`state = 'waiting' AND expires_ms IS NOT NULL`),
    index("messages_unreported").on(t.tenantId, t.reportMs).where(sql`report_ms IS NOT NULL`),
    index("messages_final").on(t.tenantId, t.reportedMs, t.endedMs).where(sql`state IN ('sent', 'error')`),
    index("messages_trim").on(t.key).where(sql`state = 'sent' AND content_bytes > 0`),
    check("messages_state", sql`state IN ('waiting', 'solo', 'claimed', 'sent', 'error')`),
    check("messages_priority", sql`priority BETWEEN 0 AND 3`),
    check("messages_sent", sql`(state = 'sent') = (sent_ms IS NOT NULL)`),
    check("messages_error", sql`(state = 'error') = (error_ms IS NOT NULL) AND (error IS NULL) = (error_ms IS NULL)`),
    check("messages_final", sql`(state IN ('sent', 'error')) = (ended_ms IS NOT NULL)`),
    check("messages_claimed", sql`(state = 'claimed') = (process IS NOT NULL)`),
  ],
);

/** The accepted JSON without inline content, and the envelope. Written once. */
export const payloads = sqliteTable("payloads", {
  message: integer("message").primaryKey(),
  payload: text("payload").notNull(),
  recipients: text("recipients").notNull(),
});

/** Inline attachments, decoded. Written once. */
export const contents = sqliteTable(
  "contents",
  {
    message: integer("message").notNull(),
    position: integer("position").notNull(),
    bytes: blob("bytes").notNull(),
  },
  (t) => [primaryKey({ columns: [t.message, t.position] })],
);

/** Every attempt. The migration makes it WITHOUT ROWID. */
export const history = sqliteTable(
  "history",
  {
    message: integer("message").notNull(),
    claim: integer("claim").notNull(),
    /** Wall. */
    atMs: integer("at_ms").notNull(),
    outcome: text("outcome").notNull(),
    code: integer("code"),
    response: text("response"),
    /** Wall. */
    untilMs: integer("until_ms"),
  },
  (t) => [primaryKey({ columns: [t.message, t.claim] })],
);

/**
 * One row for each account that ever had work: when it may next be claimed from and why not now, what is in flight,
 * its counts. A deleted account leaves its row here, so that limits and counts outlive it.
 */
export const queues = sqliteTable(
  "queues",
  {
    key: integer("key").primaryKey({ autoIncrement: true }),
    tenantId: text("tenant_id").notNull(),
    accountId: text("account_id").notNull(),

    /** The earliest moment at which it may be claimed from; null: nothing waits, or no room until something ends. */
    readyMs: integer("ready_ms"),
    /** The same for its immediate messages. */
    immediateMs: integer("immediate_ms"),
    /** Its last turn: the next comes after the others'. */
    servedMs: integer("served_ms").notNull().default(0),
    /** Messages ever claimed: every tenth is the one due longest. */
    claims: integer("claims").notNull().default(0),
    inFlight: integer("in_flight").notNull().default(0),
    inFlightRecipients: integer("in_flight_recipients").notNull().default(0),
    /** Most claims at once, from the connections allowed; null: never claimed from yet. */
    capacity: integer("capacity"),
    /** Recipients of the message that comes next, for the recipients' limit. */
    nextRecipients: integer("next_recipients").notNull().default(1),

    limitedReason: text("limited_reason"),
    limitedUntilMs: integer("limited_until_ms"),
    /** 'fault' or 'operator'; null: not held. */
    heldBy: text("held_by"),
    holdReason: text("hold_reason"),
    heldSinceMs: integer("held_since_ms"),
    /** Null while held: until released. */
    holdUntilMs: integer("hold_until_ms"),
    /** Faults in a row; while above 0 one message at a time is sent as a probe. */
    holdFailures: integer("hold_failures").notNull().default(0),
    /** The message that is out to try a held account. */
    probe: integer("probe"),

    /** Attempts ever ended, and their recipients: the running totals of `sends`. */
    sendsTotal: integer("sends_total").notNull().default(0),
    recipientsTotal: integer("recipients_total").notNull().default(0),
    lastEndedMs: integer("last_ended_ms").notNull().default(0),

    pending: integer("pending").notNull().default(0),
    sent: integer("sent").notNull().default(0),
    errors: integer("errors").notNull().default(0),
    deferred: integer("deferred").notNull().default(0),
    rateLimited: integer("rate_limited").notNull().default(0),

    /** Its pace after the server found it too fast (libs/domain/src/pace.ts), and the server's words. All null: none. */
    slowedReason: text("slowed_reason"),
    slowedGapMs: integer("slowed_gap_ms"),
    slowedConnections: integer("slowed_connections"),
    slowedSinceMs: integer("slowed_since_ms"),
  },
  (t) => [
    uniqueIndex("queues_account").on(t.tenantId, t.accountId),
    index("queues_ready").on(t.tenantId, t.readyMs).where(sql`ready_ms IS NOT NULL`),
    index("queues_immediate").on(t.tenantId, t.immediateMs).where(sql`immediate_ms IS NOT NULL`),
    index("queues_held").on(t.key).where(sql`held_by IS NOT NULL`),
    check("queues_in_flight", sql`in_flight >= 0`),
    check("queues_pending", sql`pending >= 0`),
  ],
);

/**
 * Ended attempts as running totals, one row for a moment, so that a window is two look-ups. Those of a queue by its key,
 * those of all queues of a tenant by the tenant's key below zero. WITHOUT ROWID.
 */
export const sends = sqliteTable(
  "sends",
  {
    queue: integer("queue").notNull(),
    endedMs: integer("ended_ms").notNull(),
    sendsTotal: integer("sends_total").notNull(),
    recipientsTotal: integer("recipients_total").notNull(),
  },
  (t) => [primaryKey({ columns: [t.queue, t.endedMs] })],
);

/** Connections reserved by each dispatcher. WITHOUT ROWID. */
export const connections = sqliteTable(
  "connections",
  {
    queue: integer("queue").notNull(),
    process: integer("process").notNull(),
    reserved: integer("reserved").notNull(),
  },
  (t) => [primaryKey({ columns: [t.queue, t.process] })],
);

export const accounts = sqliteTable("accounts", {
  queue: integer("queue").primaryKey(),
  host: text("host").notNull(),
  port: integer("port").notNull(),
  user: text("user"),
  password: text("password"),
  useTls: integer("use_tls", { mode: "boolean" }),
  security: text("security").notNull().$type<"tls" | "starttls" | "opportunistic" | "none">(),
  ttlSeconds: integer("ttl_seconds").notNull(),
  limitPerMinute: integer("limit_per_minute"),
  limitPerHour: integer("limit_per_hour"),
  limitPerDay: integer("limit_per_day"),
  limitRecipientsPerDay: integer("limit_recipients_per_day"),
  limitBehavior: text("limit_behavior").notNull().$type<"defer" | "reject">(),
  maxConnections: integer("max_connections"),
  batchSize: integer("batch_size"),
  timeoutSeconds: integer("timeout_seconds"),
  tlsCa: text("tls_ca"),
  tlsServername: text("tls_servername"),
  onAmbiguous: text("on_ambiguous").$type<"retry" | "fail">(),
  /** Wall. */
  createdMs: integer("created_ms").notNull(),
  /** Wall. */
  updatedMs: integer("updated_ms").notNull(),
});

/** Requests of the API to try an account's login. */
export const verifications = sqliteTable("verifications", {
  key: integer("key").primaryKey({ autoIncrement: true }),
  queue: integer("queue").notNull(),
  askedMs: integer("asked_ms").notNull(),
  process: integer("process"),
  ok: integer("ok", { mode: "boolean" }),
  answer: text("answer"),
});

export const rules = sqliteTable("rules", {
  id: integer("id").primaryKey({ autoIncrement: true }),
  name: text("name").notNull(),
  enabled: integer("enabled", { mode: "boolean" }).notNull(),
  priority: integer("priority").notNull(),
  /** JSON list, 0 is Monday. */
  days: text("days", { mode: "json" }).notNull().$type<number[]>(),
  startHour: integer("start_hour").notNull(),
  endHour: integer("end_hour").notNull(),
  crossMidnight: integer("cross_midnight", { mode: "boolean" }).notNull(),
  intervalMinutes: integer("interval_minutes").notNull(),
});

export const processes = sqliteTable(
  "processes",
  {
    process: integer("process").primaryKey({ autoIncrement: true }),
    kind: text("kind").notNull().$type<"api" | "dispatcher" | "reporter">(),
    pid: integer("pid").notNull(),
    host: text("host").notNull(),
    version: text("version").notNull(),
    /** Wall. */
    startedMs: integer("started_ms").notNull(),
    /** Wall. */
    seenMs: integer("seen_ms").notNull(),
    beat: integer("beat").notNull().default(0),
  },
  () => [check("processes_kind", sql`kind IN ('api', 'dispatcher', 'reporter')`)],
);

/**
 * One row for each application served: what an admin says of it, and, as a queue has it, when it may next be claimed
 * from. A turn goes to a tenant first, then to one of its queues.
 */
export const tenants = sqliteTable(
  "tenants",
  {
    key: integer("key").primaryKey({ autoIncrement: true }),
    /** What `tenant_id` is in the other tables: the id, but for one made again while the old one is still kept. */
    tenant: text("tenant").notNull(),
    id: text("id").notNull(),
    name: text("name"),
    clientBaseUrl: text("client_base_url"),
    clientSyncPath: text("client_sync_path").notNull().default("/proxy_sync"),
    clientAttachmentPath: text("client_attachment_path").notNull().default("/proxy_get_attachments"),
    clientAuthMethod: text("client_auth_method").notNull().default("none").$type<"none" | "basic" | "bearer">(),
    clientUser: text("client_user"),
    /** Sealed: the password or the token. */
    clientSecret: text("client_secret"),
    active: integer("active", { mode: "boolean" }).notNull().default(true),
    limitPerMinute: integer("limit_per_minute"),
    limitPerHour: integer("limit_per_hour"),
    limitPerDay: integer("limit_per_day"),
    limitRecipientsPerDay: integer("limit_recipients_per_day"),
    /** JSON list. */
    s3Prefixes: text("s3_prefixes").notNull().default("[]"),
    /** SHA-256 in hex; null: no key. */
    keyHash: text("key_hash"),
    /** Wall. */
    createdMs: integer("created_ms").notNull(),
    /** Wall. */
    updatedMs: integer("updated_ms").notNull(),
    /** Wall. It is kept until its last report is acknowledged. */
    deletedMs: integer("deleted_ms"),

    /** Who has suspended all of it: 1 the tenant, 2 an admin, 3 both. */
    suspendedBy: integer("suspended_by").notNull().default(0),
    /** Rows of `suspensions`. */
    suspensions: integer("suspensions").notNull().default(0),
    /** The earliest moment at which one of its queues may be claimed from; null: none has work, or nothing may leave. */
    readyMs: integer("ready_ms"),
    immediateMs: integer("immediate_ms"),
    servedMs: integer("served_ms").notNull().default(0),
    inFlight: integer("in_flight").notNull().default(0),
    inFlightRecipients: integer("in_flight_recipients").notNull().default(0),
    nextRecipients: integer("next_recipients").notNull().default(1),
    limitedReason: text("limited_reason"),
    limitedUntilMs: integer("limited_until_ms"),
    sendsTotal: integer("sends_total").notNull().default(0),
    recipientsTotal: integer("recipients_total").notNull().default(0),
    lastEndedMs: integer("last_ended_ms").notNull().default(0),

    runNow: integer("run_now").notNull().default(0),
    reportsWaiting: integer("reports_waiting").notNull().default(0),
  },
  (t) => [
    uniqueIndex("tenants_tenant").on(t.tenant),
    uniqueIndex("tenants_id").on(t.id).where(sql`deleted_ms IS NULL`),
    uniqueIndex("tenants_key_hash").on(t.keyHash).where(sql`key_hash IS NOT NULL`),
    index("tenants_ready").on(t.readyMs).where(sql`ready_ms IS NOT NULL`),
    index("tenants_immediate").on(t.immediateMs).where(sql`immediate_ms IS NOT NULL`),
    check("tenants_in_flight", sql`in_flight >= 0`),
  ],
);

/** What tenants that are gone were named by in the other tables: none is ever named so again. WITHOUT ROWID. */
export const formerTenants = sqliteTable("former_tenants", { tenant: text("tenant").primaryKey() });

/** Batches of a tenant that are suspended. The migration makes it WITHOUT ROWID. */
export const suspensions = sqliteTable(
  "suspensions",
  {
    tenantId: text("tenant_id").notNull(),
    batchCode: text("batch_code").notNull(),
    /** As `suspended_by`; 0: it is over, and messages are still being put back in line. */
    by: integer("by").notNull(),
  },
  (t) => [primaryKey({ columns: [t.tenantId, t.batchCode] })],
);

/** What the reporter must remember of the client it reports to. */
export const clients = sqliteTable("clients", {
  tenantId: text("tenant_id").primaryKey(),
  lastCallMs: integer("last_call_ms"),
  quietUntilMs: integer("quiet_until_ms"),
  lastRunNow: integer("last_run_now").notNull(),
  /** The last call of all, acknowledged or not, and what came of it. */
  calledMs: integer("called_ms"),
  outcome: text("outcome"),
  nextCallMs: integer("next_call_ms"),
});

/** One row: what holds for the whole file. */
export const service = sqliteTable(
  "service",
  {
    id: integer("id").primaryKey(),
    sandbox: integer("sandbox", { mode: "boolean" }).notNull(),
    /** Null until the first start has written it. */
    active: integer("active", { mode: "boolean" }),
    rulesSeeded: integer("rules_seeded", { mode: "boolean" }).notNull(),
    /** The last `seq` given. */
    seq: integer("seq").notNull(),
    /** The last slot given was an immediate message's. */
    urgentLast: integer("urgent_last", { mode: "boolean" }).notNull().default(false),
    /** The dispatcher that makes itself free for a message to be sent alone. */
    soloProcess: integer("solo_process"),
    /** The key that secrets are sealed with; null until the first start that seals. */
    sealKey: text("seal_key"),
    /** Plain or formerly sealed secrets may still stand in free pages and the log: 1 until the file was written anew. */
    scrub: integer("scrub").notNull().default(0),
    /** The boot under which `steady_offset_ms` turns the machine's monotonic clock into steady time. */
    bootId: text("boot_id").notNull(),
    steadyOffsetMs: integer("steady_offset_ms").notNull(),
    /** The latest steady moment written: after a boot, steady time goes on from here at least. */
    steadySeenMs: integer("steady_seen_ms").notNull(),
  },
  () => [check("service_one", sql`id = 1`)],
);
