import { type DestinationStream, destination as fileDescriptor, pino, stdTimeFunctions } from "pino";

export type ProcessKind = "api" | "dispatcher" | "reporter";

/** What happens to a service of mail, one method per event. Never a body, a password or an address list. */
export type Log = ReturnType<typeof createLog>;

export type SettledOutcome = "sent" | "deferred" | "held" | "error" | "given_back";

/** Of another than the tenant `default`. */
type OfTenant = { tenant?: string };

type Settled = OfTenant & {
  id: string;
  account: string;
  outcome: SettledOutcome;
  attempts: number;
  code?: number;
  error?: string;
  untilMs?: number;
  ms?: number;
};

type LogOptions = { level: string; process: ProcessKind; destination?: DestinationStream };

/** JSON lines on standard output, written at once: a process that ends loses none. */
export function createLog({ level, process: kind, destination }: LogOptions) {
  const logger = pino(
    {
      level,
      base: { process: kind, pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination ?? fileDescriptor({ dest: 1, sync: true }),
  );

  return {
    started: (fields: { version: string; database?: string; number?: number }) =>
      logger.info({ event: "started", ...fields }, `${kind} started`),
    listening: (fields: { url: string }) =>
      logger.info({ event: "listening", ...fields }, `listening on ${fields.url}`),
    stopping: (fields: { reason: string; graceMs: number }) =>
      logger.info({ event: "stopping", ...fields }, `stopping: ${fields.reason}`),
    stopped: (fields: { code: number; reason?: string }) =>
      logger[fields.code === 0 ? "info" : "error"]({ event: "stopped", ...fields }, `${kind} stopped`),
    tokenMade: (fields: { file: string }) =>
      logger.info({ event: "token_made", ...fields }, `made an API token, kept in ${fields.file}`),
    keyMade: (fields: { file: string }) =>
      logger.warn(
        { event: "key_made", ...fields },
        `made an encryption key, kept in ${fields.file}: whoever has it and the database can read the passwords in it, and a backup of the database is of no use without it`,
      ),
    keyExposed: (fields: { file: string }) =>
      logger.warn({ event: "key_exposed", ...fields }, `${fields.file} can be read by other users, wanted: mode 600`),
    warning: (text: string, fields: Record<string, unknown> = {}) => logger.warn({ event: "warning", ...fields }, text),
    failed: (error: unknown, fields: { what: string } & Record<string, unknown>) =>
      logger.error({ event: "failed", ...fields, ...described(error) }, `${fields.what} failed`),
    storageBusy: (fields: { what: string; ms?: number }) =>
      logger.warn({ event: "storage_busy", ...fields }, "the database is busy, trying again"),
    // Every call and pass meets it: told once, and again every while with how many met it.
    storageUnavailable: seldom((fields: { what: string; reason: string }, times) =>
      logger.error({ event: "storage_unavailable", ...fields, times }, `the database cannot be used: ${fields.reason}`),
    ),

    /** Who reads the log after an incident asks first who stopped the mail. */
    operated: (fields: { action: string; tenant?: string; account?: string; batch?: string; reason?: string }) =>
      logger.info({ event: "operated", ...fields }, [fields.action, ...operatedOn(fields)].join(": ")),
    // As with `settled`: what was taken is in the file, what was not is what people look for.
    enqueued: (fields: OfTenant & { queued: number; rejected: number }) =>
      logger[fields.rejected > 0 ? "info" : "debug"](
        { event: "enqueued", ...fields },
        `enqueued ${fields.queued}, rejected ${fields.rejected}`,
      ),
    claimed: (fields: { count: number }) => logger.debug({ event: "claimed", ...fields }, `claimed ${fields.count}`),
    // One line for each mail that left would be most of the log; what did not leave is what people look for.
    settled: (fields: Settled) =>
      logger[fields.outcome === "sent" || fields.outcome === "given_back" ? "debug" : "info"](
        { event: "settled", ...fields },
        `settled ${fields.id}: ${fields.outcome}`,
      ),
    damaged: (fields: { id: string; error: string }) =>
      logger.error({ event: "damaged", ...fields }, `the row of ${fields.id} is damaged: ${fields.error}`),
    leaseLost: (fields: OfTenant & { id: string; account: string }) =>
      logger.warn({ event: "lease_lost", ...fields }, `claim on ${fields.id} was lost to another`),
    struckOff: (fields: { number: number; kind: string }) =>
      logger.warn(
        { event: "struck_off", ...fields },
        `struck off ${fields.kind} ${fields.number}, which showed no life`,
      ),
    wasStruckOff: (fields: { number: number }) =>
      logger.warn({ event: "was_struck_off", ...fields }, "others struck this process off; registering anew"),
    // `gapMs` and `connections` when its server found it too fast: its pace after the hold.
    accountHeld: (
      fields: OfTenant & {
        account: string;
        reason: string;
        untilMs: number | null;
        gapMs?: number;
        connections?: number;
      },
    ) => logger.warn({ event: "account_held", ...fields }, `account ${fields.account} held: ${fields.reason}`),
    accountReleased: (fields: OfTenant & { account: string }) =>
      logger.info({ event: "account_released", ...fields }, `account ${fields.account} released`),

    stalled: (fields: { accounts: string[]; count: number; seconds: number; reason: string }) =>
      logger.warn(
        { event: "stalled", ...fields },
        `mail of ${fields.count} accounts could go out and has seen no attempt for ${fields.seconds} s: ${fields.reason}`,
      ),
    stallOver: () => logger.info({ event: "stall_over" }, "mail goes out again"),

    reported: (fields: OfTenant & { count: number; ms: number }) =>
      logger.info({ event: "reported", ...fields }, `reported ${fields.count}`),
    polled: (fields: OfTenant & { ms: number; queued?: number | null }) =>
      logger.debug({ event: "polled", ...fields }, "polled the client"),
    reportFailed: (fields: OfTenant & { reason: string; retryMs: number; count?: number }) =>
      logger.warn({ event: "report_failed", ...fields }, `report failed: ${fields.reason}`),
    reportSetAside: (fields: OfTenant & { id: string; reason: string; retryMs: number }) =>
      logger.warn({ event: "report_set_aside", ...fields }, `report on ${fields.id} set aside: ${fields.reason}`),
    reportGivenUp: (fields: OfTenant & { count: number }) =>
      logger.warn({ event: "report_given_up", ...fields }, `gave up ${fields.count} reports that nobody took`),
    purged: (fields: OfTenant & { count: number }) =>
      logger.info({ event: "purged", ...fields }, `purged ${fields.count}`),
    expired: (fields: { count: number }) => logger.info({ event: "expired", ...fields }, `expired ${fields.count}`),
  };
}

function operatedOn({ tenant, account, batch }: { tenant?: string; account?: string; batch?: string }): string[] {
  const named = { tenant, account, batch };
  return Object.entries(named).flatMap(([what, name]) => (name === undefined ? [] : `${what} ${name}`));
}

/** The first at once, and later ones at most so often, with how many there were. */
const SELDOM_MS = 10_000;

function seldom<T>(tell: (fields: T, times: number) => void): (fields: T) => void {
  let toldMs = Number.NEGATIVE_INFINITY;
  let times = 0;
  return (fields) => {
    times += 1;
    if (performance.now() - toldMs < SELDOM_MS) return;
    toldMs = performance.now();
    tell(fields, times);
    times = 0;
  };
}

/** Only what an error says of itself: its other properties may hold a request, and with it a body or a password. */
function described(error: unknown): { error: string; code?: unknown; stack?: string; cause?: string } {
  if (!(error instanceof Error)) return { error: String(error) };
  const { message, stack, cause } = error;
  const code = "code" in error ? { code: error.code } : {};
  return { error: message, ...code, ...(stack ? { stack } : {}), ...(cause ? { cause: String(cause) } : {}) };
}
