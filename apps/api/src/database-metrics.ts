import type { ServiceCounts, Stall } from "@async-mail/db/store";
import { DEFAULT_ACCOUNT_ID } from "@async-mail/domain/account";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import type { Metrics } from "@async-mail/runtime/metrics";

/** Accounts beyond the first so many share one label: a scrape stays small whatever clients create. */
const MOST_ACCOUNTS = 200;
const MOST_TENANTS = 200;
const REST = "_others";

export type DatabaseFacts = { counts: ServiceCounts; stall: Stall | null };

const NO_ACCOUNT: ServiceCounts["accounts"][number] = {
  tenantId: DEFAULT_TENANT,
  accountId: DEFAULT_ACCOUNT_ID,
  pending: 0,
  sent: 0,
  errors: 0,
  deferred: 0,
  rateLimited: 0,
  held: false,
  slowed: false,
  left: { perMinute: null, perHour: null, perDay: null, recipientsPerDay: null },
};

/**
 * What the database knows, exported by this process alone: otherwise sums over processes would count it several times.
 * Answers the function that takes over the facts of a scrape; null: the database did not answer.
 */
export function createDatabaseMetrics(metrics: Metrics): (facts: DatabaseFacts | null) => void {
  // Of the tenant `default` without the second: where there is no other tenant, its series are what they always were.
  const byAccount = ["account_id", "tenant_id"] as const;
  const sent = metrics.counter("sent_total", "Messages sent.", byAccount);
  const errors = metrics.counter("errors_total", "Messages given up.", byAccount);
  const deferred = metrics.counter("deferred_total", "Deferrals of messages.", byAccount);
  const rateLimited = metrics.counter("rate_limited_total", "Times an account reached a limit.", byAccount);
  const held = metrics.gauge("account_held", "1 while the account is held.", byAccount);
  const slowed = metrics.gauge(
    "account_slowed",
    "1 while the account goes more slowly, since its server asked.",
    byAccount,
  );
  const left = metrics.gauge("account_limit_left", "What is left of a limit, in its rolling window.", [
    ...byAccount,
    "limit",
  ]);
  const accountPending = metrics.gauge("account_pending_messages", "Messages not yet final, by account.", byAccount);

  const byTenant = ["tenant_id"] as const;
  const tenantPending = metrics.gauge("tenant_pending_messages", "Messages not yet final, by tenant.", byTenant);
  const tenantSuspended = metrics.gauge("tenant_suspended", "1 while all of the tenant is suspended.", byTenant);
  const tenantReports = metrics.gauge("tenant_reports_waiting", "Reports not yet acknowledged, by tenant.", byTenant);
  const tenantOldest = metrics.gauge(
    "tenant_oldest_report_seconds",
    "Age of the tenant's oldest report that waits.",
    byTenant,
  );

  const pending = metrics.gauge("pending_messages", "Messages not yet final, deferred ones included.");
  const oldestDue = metrics.gauge("oldest_due_seconds", "How long the message due longest has been due.");
  const stalled = metrics.gauge("stalled_accounts", "Accounts whose mail could go out and sees no attempt.");
  const reportsWaiting = metrics.gauge("reports_waiting", "Reports not yet acknowledged by the client.");
  const oldestReport = metrics.gauge("oldest_report_seconds", "Age of the oldest report that waits.");
  const processes = metrics.gauge("processes", "Processes alive.", ["kind"]);
  const walBytes = metrics.gauge("wal_bytes", "Size of the write-ahead log.");
  const databaseBytes = metrics.gauge("database_bytes", "Size of the database file.");
  const diskFreeBytes = metrics.gauge("disk_free_bytes", "Free on the disk of the database.");
  const active = metrics.gauge("active", "0 while all of the service is suspended.");
  const databaseUp = metrics.gauge("database_up", "1 when the database answered this scrape.");

  function show({ counts, stall }: DatabaseFacts): void {
    for (const metric of [sent, errors, deferred, rateLimited, held, slowed, left, accountPending]) metric.reset();
    for (const account of labelled(counts.accounts)) {
      const { accountId: account_id, tenantId: tenant_id } = account;
      const label = tenant_id === DEFAULT_TENANT ? { account_id } : { account_id, tenant_id };
      sent.inc(label, account.sent);
      errors.inc(label, account.errors);
      deferred.inc(label, account.deferred);
      rateLimited.inc(label, account.rateLimited);
      accountPending.set(label, account.pending);
      held.set(label, account.held ? 1 : 0);
      slowed.set(label, account.slowed ? 1 : 0);
      for (const [name, limit] of [
        ["per_minute", account.left.perMinute],
        ["per_hour", account.left.perHour],
        ["per_day", account.left.perDay],
        ["recipients_per_day", account.left.recipientsPerDay],
      ] as const) {
        if (limit !== null) left.set({ ...label, limit: name }, limit);
      }
    }
    showTenants(counts.tenants);
    pending.set(counts.accounts.reduce((sum, account) => sum + account.pending, 0));
    oldestDue.set(counts.oldestDueMs / 1000);
    stalled.set(stall?.accounts.length ?? 0);
    reportsWaiting.set(counts.reportsWaiting);
    oldestReport.set(counts.oldestReportMs / 1000);
    for (const [kind, count] of Object.entries(counts.processes)) processes.set({ kind }, count);
    walBytes.set(counts.walBytes);
    databaseBytes.set(counts.databaseBytes);
    diskFreeBytes.set(counts.diskFreeBytes);
    active.set(counts.active ? 1 : 0);
  }

  function showTenants(tenants: ServiceCounts["tenants"]): void {
    for (const metric of [tenantPending, tenantSuspended, tenantReports, tenantOldest]) metric.reset();
    for (const one of boundedTenants(tenants)) {
      const label = { tenant_id: one.tenantId };
      tenantPending.set(label, one.pending);
      tenantSuspended.set(label, one.suspended ? 1 : 0);
      tenantReports.set(label, one.reportsWaiting);
      tenantOldest.set(label, one.oldestReportMs / 1000);
    }
  }

  return (facts) => {
    databaseUp.set(facts ? 1 : 0);
    if (facts) show(facts);
  };
}

/** The default account is there from the start; those beyond the bound are one. */
function labelled(accounts: ServiceCounts["accounts"]): ServiceCounts["accounts"] {
  const isDefault = ({ tenantId, accountId }: typeof NO_ACCOUNT) =>
    tenantId === DEFAULT_TENANT && accountId === DEFAULT_ACCOUNT_ID;
  const byDefault = accounts.find(isDefault) ?? NO_ACCOUNT;
  const all = [byDefault, ...accounts.filter((account) => account !== byDefault)];
  if (all.length <= MOST_ACCOUNTS) return all;
  const rest = { ...NO_ACCOUNT, accountId: REST };
  for (const one of all.slice(MOST_ACCOUNTS)) {
    rest.pending += one.pending;
    rest.sent += one.sent;
    rest.errors += one.errors;
    rest.deferred += one.deferred;
    rest.rateLimited += one.rateLimited;
    rest.held ||= one.held;
    rest.slowed ||= one.slowed;
  }
  return [...all.slice(0, MOST_ACCOUNTS), rest];
}

function boundedTenants(tenants: ServiceCounts["tenants"]): ServiceCounts["tenants"] {
  if (tenants.length <= MOST_TENANTS) return tenants;
  const rest = tenants.slice(MOST_TENANTS).reduce((sum, one) => ({
    tenantId: REST,
    pending: sum.pending + one.pending,
    suspended: sum.suspended || one.suspended,
    reportsWaiting: sum.reportsWaiting + one.reportsWaiting,
    oldestReportMs: Math.max(sum.oldestReportMs, one.oldestReportMs),
  }));
  return [...tenants.slice(0, MOST_TENANTS), { ...rest, tenantId: REST }];
}
