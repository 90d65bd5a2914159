import * as v from "valibot";
import { ACCOUNT_FIELDS, AccountSchema, type RawAccount } from "./account-schema.ts";
import { type FieldIssue, fieldIssues } from "./issues.ts";
import { unknownFields } from "./unknown-fields.ts";

export { AccountSchema } from "./account-schema.ts";
export type { FieldIssue } from "./issues.ts";

/** tls: implicit. starttls: required. opportunistic: STARTTLS where offered. none: never encrypted. Contract §3.4. */
export type Security = "tls" | "starttls" | "opportunistic" | "none";

export type LimitBehavior = "defer" | "reject";

/** What follows when the reply to DATA never came: send again, or give the message up. */
export type OnAmbiguous = "retry" | "fail";

/** null: no limit. Each holds in its own rolling window. */
export type Limits = {
  perMinute: number | null;
  perHour: number | null;
  perDay: number | null;
  recipientsPerDay: number | null;
};

/** An SMTP account: where mail is handed over, as whom, and how much. */
export type Account = {
  id: string;
  host: string;
  port: number;
  user: string | null;
  password: string | null;
  /** As the client gave it; null where absent. `security` is what follows from it. */
  useTls: boolean | null;
  security: Security;
  /** How long one connection may be used, in seconds. */
  ttlSeconds: number;
  limits: Limits;
  limitBehavior: LimitBehavior;
  /** Connections open at once over all dispatchers; null: the configured default. */
  maxConnections: number | null;
  /** How many of its messages one claim may take; null: as many as there are slots. */
  batchSize: number | null;
  /** For connecting and for each reply before the message is handed over; null: the default. */
  timeoutSeconds: number | null;
  /** PEM text of a private CA; null: the configured or the system's. */
  tlsCa: string | null;
  tlsServername: string | null;
  onAmbiguous: OnAmbiguous | null;
  /** Another tenant's than `default`: it may connect only where the operator lets tenants. */
  restricted?: true;
};

/** The id under which the configuration's own account is kept; no client may claim it. */
export const DEFAULT_ACCOUNT_ID = "default";

export type ParsedAccount =
  /** `keepPassword`: none was given, so the stored one stays where the store allows it. */
  { ok: true; account: Account; keepPassword: boolean; warnings: string[] } | { ok: false; issues: FieldIssue[] };

const DEFAULT_TTL_SECONDS = 300;
const NO_LIMITS: Limits = { perMinute: null, perHour: null, perDay: null, recipientsPerDay: null };

/** The body of POST /account, contract §3.4. */
export function parseAccount(raw: unknown): ParsedAccount {
  const parsed = v.safeParse(AccountSchema, raw);
  if (!parsed.success) return { ok: false, issues: fieldIssues(parsed.issues) };
  const given = parsed.output;
  const issues = accountIssues(given);
  if (issues.length > 0) return { ok: false, issues };
  const warnings = unknownFields(raw as object, ACCOUNT_FIELDS);
  if (given.auth !== undefined && given.auth !== null) warnings.push("auth is reserved for OAuth2 and ignored");
  return { ok: true, account: toAccount(given), keepPassword: (given.password ?? null) === null, warnings };
}

/** Security and port as they follow from what was given. Contract §3.4. */
export function deriveSecurity(given: { security: Security | null; useTls: boolean | null; port: number | null }): {
  security: Security;
  port: number;
} {
  const { useTls, port } = given;
  const withoutTls = useTls ? "starttls" : "opportunistic";
  const security = given.security ?? (port === 465 ? "tls" : withoutTls);
  return { security, port: port ?? (security === "tls" ? 465 : 587) };
}

/** The account of `[smtp]` in the configuration; null without a host. */
export function defaultAccount(smtp: {
  host: string | null;
  port: number | null;
  user: string | null;
  password: string | null;
  useTls: boolean | null;
  security: Security | null;
}): Account | null {
  if (smtp.host === null) return null;
  return {
    id: DEFAULT_ACCOUNT_ID,
    host: smtp.host,
    user: smtp.user,
    password: smtp.password,
    useTls: smtp.useTls,
    ...deriveSecurity(smtp),
    ttlSeconds: DEFAULT_TTL_SECONDS,
    limits: NO_LIMITS,
    limitBehavior: "defer",
    maxConnections: null,
    batchSize: null,
    timeoutSeconds: null,
    tlsCa: null,
    tlsServername: null,
    onAmbiguous: null,
  };
}

function toAccount(given: RawAccount): Account {
  const useTls = given.use_tls ?? null;
  return {
    id: given.id,
    host: given.host.trim(),
    user: given.user || null,
    password: given.password || null,
    useTls,
    ...deriveSecurity({ security: given.security ?? null, useTls, port: positive(given.port) }),
    ttlSeconds: positive(given.ttl) ?? DEFAULT_TTL_SECONDS,
    limits: {
      perMinute: positive(given.limit_per_minute),
      perHour: positive(given.limit_per_hour),
      perDay: positive(given.limit_per_day),
      recipientsPerDay: positive(given.limit_recipients_per_day),
    },
    limitBehavior: given.limit_behavior ?? "defer",
    maxConnections: positive(given.max_connections),
    batchSize: positive(given.batch_size),
    timeoutSeconds: positive(given.timeout),
    tlsCa: given.tls_ca?.trim() || null,
    tlsServername: given.tls_servername?.trim() || null,
    onAmbiguous: given.on_ambiguous ?? null,
  };
}

/** 0 or less is as good as absent. */
function positive(number: number | null | undefined): number | null {
  return typeof number === "number" && number > 0 ? number : null;
}

// Names and address literals alike; what is refused could end a command or a log line.
const HOST = /^[\w.:%-]{1,253}$/;

function accountIssues(given: RawAccount): FieldIssue[] {
  const issues: FieldIssue[] = [];
  const refuse = (field: keyof RawAccount, msg: string) => issues.push({ type: "value_error", loc: [field], msg });
  if (given.id.trim() === "") refuse("id", "must not be empty");
  else if ([...given.id].length > 255) refuse("id", "is longer than 255 characters");
  else if (!given.id.isWellFormed()) refuse("id", "is not well-formed Unicode");
  else if (given.id === DEFAULT_ACCOUNT_ID) refuse("id", `'${DEFAULT_ACCOUNT_ID}' is the account of the configuration`);
  if (!HOST.test(given.host.trim())) refuse("host", "is not a host name or an IP address");
  if ((given.port ?? 0) > 65535) refuse("port", `${given.port} is above 65535`);
  if (/[\x00\r\n]/.test(given.user ?? "")) refuse("user", "holds a line break or NUL");
  if (/[\x00\r\n]/.test(given.password ?? "")) refuse("password", "holds a line break or NUL");
  if (given.tls_ca?.trim() && !given.tls_ca.includes("-----BEGIN CERTIFICATE-----"))
    refuse("tls_ca", "is not a PEM certificate");
  if (given.tls_servername?.trim() && !HOST.test(given.tls_servername.trim()))
    refuse("tls_servername", "is not a host name");
  return issues;
}
