import type { Busy, Claim } from "@async-mail/db/store";
import type { Outcome } from "@async-mail/domain/outcome";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import type { Metrics } from "@async-mail/runtime/metrics";
import type { AttachmentCount } from "./attachments/gather.ts";

export type DispatcherMetrics = ReturnType<typeof dispatcherMetrics>;

const SEND_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600];
/** From at once to the two days after which a message expires. */
const WAIT_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120, 600, 3600, 21_600, 86_400, 172_800];
const COMPOSE_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2, 10, 60];
const FETCH_SECONDS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** Each account is a time series per outcome; those beyond share a label. */
const ACCOUNT_LABELS = 200;
const REST = "_others";

/** What sent, failed and waits the api tells: facts of the file are exported once. */
export function dispatcherMetrics(metrics: Metrics, busy: () => Busy) {
  metrics.showBusy(busy);
  const byAccount = ["account_id", "tenant_id"] as const;
  const attempts = metrics.counter("attempts_total", "Attempts by what came of them.", [...byAccount, "outcome"]);
  const partly = metrics.counter("partly_refused_total", "Messages sent that some recipients refused.", byAccount);
  const wait = metrics.histogram("accept_to_sent_seconds", "From acceptance to the server's last yes.", WAIT_SECONDS);
  const session = metrics.histogram("smtp_session_seconds", "Dialogue about one message, from MAIL.", SEND_SECONDS);
  const attachments = metrics.counter("attachments_total", "Attachments by source.", ["source", "outcome"]);
  const gathering = metrics.histogram("attachments_seconds", "From a message's claim to all its files.", FETCH_SECONDS);
  const composing = metrics.histogram(
    "compose_seconds",
    "From the text to MIME, at once or by a thread.",
    COMPOSE_SECONDS,
  );
  const queued = metrics.gauge("compose_queue", "Messages waiting for a thread of the pool.");
  const known = boundedLabels(ACCOUNT_LABELS);
  /** Of the tenant `default` the account alone, as in the api. */
  const labelOf = ({ tenantId: tenant_id, account: { id: account_id } }: Claim) => {
    const isDefault = tenant_id === DEFAULT_TENANT;
    if (known(isDefault ? account_id : JSON.stringify([tenant_id, account_id])) === REST) return { account_id: REST };
    return isDefault ? { account_id } : { account_id, tenant_id };
  };

  return {
    settled(claim: Claim, outcome: Outcome, wallMs: number): void {
      const label = labelOf(claim);
      attempts.inc({ ...label, outcome: outcome.kind });
      if (outcome.kind !== "sent") return;
      wait.observe((wallMs - claim.createdMs) / 1000);
      if (outcome.recipients.some((one) => one.outcome === "refused")) partly.inc(label);
    },
    session: (seconds: number) => session.observe(seconds),
    /** The attachments of one message. */
    gathered(seconds: number, counts: AttachmentCount[]): void {
      gathering.observe(seconds);
      for (const count of counts) attachments.inc(count);
    },
    composed: (seconds: number) => composing.observe(seconds),
    /** What is only known by asking, asked in every pass. */
    look: (composeQueue: number) => queued.set(composeQueue),
  };
}

/** The first ones keep their names, all others are `_others`, as in the api. */
export function boundedLabels(most: number): (value: string) => string {
  const known = new Set<string>();
  return (value) => {
    if (known.has(value)) return value;
    if (known.size >= most) return REST;
    known.add(value);
    return value;
  };
}
