import type { AccountRecord } from "@async-mail/db/store";
import { isoTime } from "@async-mail/runtime/clock";
import * as v from "valibot";
import { withoutNulls } from "./answers.ts";

const iso = v.pipe(v.string(), v.isoTimestamp());
const limit = v.optional(v.number());

/** An account as GET /accounts shows it, contract §3.4. Never a password; fields without a value are left out. */
export const AccountViewSchema = v.pipe(
  v.strictObject({
    id: v.string(),
    tenant_id: v.pipe(v.optional(v.string()), v.description("In calls with tenants.")),
    host: v.string(),
    port: v.number(),
    user: v.optional(v.string()),
    has_password: v.boolean(),
    use_tls: v.optional(v.boolean()),
    security: v.picklist(["tls", "starttls", "opportunistic", "none"]),
    ttl: v.number(),
    limit_per_minute: limit,
    limit_per_hour: limit,
    limit_per_day: limit,
    limit_recipients_per_day: limit,
    limit_behavior: v.picklist(["defer", "reject"]),
    max_connections: v.optional(v.number()),
    batch_size: v.optional(v.number()),
    timeout: v.optional(v.number()),
    tls_ca: v.optional(v.string()),
    tls_servername: v.optional(v.string()),
    on_ambiguous: v.optional(v.picklist(["retry", "fail"])),
    state: v.picklist(["ready", "limited", "held"]),
    reason: v.optional(v.string()),
    until: v.optional(iso),
    slowed: v.pipe(
      v.optional(
        v.object({ reason: v.string(), messages_per_minute: v.number(), connections: v.number(), until: iso }),
      ),
      v.description("Its server found it too fast: its pace now, growing back by itself until then"),
    ),
    left: v.pipe(
      v.object({ per_minute: limit, per_hour: limit, per_day: limit, recipients_per_day: limit }),
      v.description("What is left of each limit, in its rolling window"),
    ),
    pending: v.number(),
    in_flight: v.number(),
    created_at: iso,
    updated_at: iso,
  }),
  v.metadata({ ref: "Account" }),
);

export type AccountView = v.InferOutput<typeof AccountViewSchema>;

export function toAccountView(record: AccountRecord): AccountView {
  const { account, left, slowed } = record;
  return {
    id: account.id,
    host: account.host,
    port: account.port,
    has_password: record.hasPassword,
    security: account.security,
    ttl: account.ttlSeconds,
    limit_behavior: account.limitBehavior,
    ...withoutNulls({
      user: account.user,
      use_tls: account.useTls,
      limit_per_minute: account.limits.perMinute,
      limit_per_hour: account.limits.perHour,
      limit_per_day: account.limits.perDay,
      limit_recipients_per_day: account.limits.recipientsPerDay,
      max_connections: account.maxConnections,
      batch_size: account.batchSize,
      timeout: account.timeoutSeconds,
      tls_ca: account.tlsCa,
      tls_servername: account.tlsServername,
      on_ambiguous: account.onAmbiguous,
      reason: record.reason,
      until: record.untilMs === null ? null : isoTime(record.untilMs),
      slowed: slowed && {
        reason: slowed.reason,
        messages_per_minute: Math.round(60_000 / slowed.gapMs),
        connections: slowed.connections,
        until: isoTime(slowed.untilMs),
      },
    }),
    state: record.state,
    left: withoutNulls({
      per_minute: left.perMinute,
      per_hour: left.perHour,
      per_day: left.perDay,
      recipients_per_day: left.recipientsPerDay,
    }),
    pending: record.pending,
    in_flight: record.inFlight,
    created_at: isoTime(record.createdMs),
    updated_at: isoTime(record.updatedMs),
  };
}
