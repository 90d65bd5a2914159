/** Times that make rounds quick; everything else is as an operator would have it. */
export const LEASE_MS = 2000;
export const TOKEN = "crash-test-token";

/** The server that plays them tells them apart by port; `default` is the configuration's own. */
export const ACCOUNT_NAMES = ["default", "plain", "login", "narrow", "limited"] as const;
export type AccountName = (typeof ACCOUNT_NAMES)[number];

/** Few enough that it binds in a run of a few rounds. */
export const LIMIT_PER_MINUTE = 20;
/** While all that waits is to end. */
export const NO_LIMIT_PER_MINUTE = 100_000;

export const CONFIG = `[delivery]
lease_seconds = ${LEASE_MS / 1000}
retry_delays_seconds = 0.3,0.6,1
data_reply_timeout_seconds = 3
shutdown_grace_seconds = 2

[sync]
proxy_sync_interval_seconds = 2
proxy_sync_timeout_seconds = 2

[logging]
level = debug
`;

export const MOST_CONNECTIONS: Record<AccountName, number> = { default: 5, plain: 5, login: 5, narrow: 1, limited: 3 };

/**
 * Seconds. The longer ones outlast a stop: a dispatcher that goes on after it would speak on, if nothing else kept it
 * from that.
 */
const TIMEOUTS: Record<AccountName, number> = { default: 30, plain: 20, login: 20, narrow: 2, limited: 2 };

/** An account as it is posted. */
export function account(name: AccountName, port: number, changes: object): object {
  const login = name === "login" ? { user: "someone", password: "secret" } : {};
  const most = { max_connections: MOST_CONNECTIONS[name] };
  return {
    id: name,
    host: "127.0.0.1",
    port,
    security: "none",
    timeout: TIMEOUTS[name],
    ...login,
    ...most,
    ...changes,
  };
}
