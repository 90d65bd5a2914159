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
};

/** The id under which the configuration's own account is kept; no client may claim it. */
export const DEFAULT_ACCOUNT_ID = "default";
