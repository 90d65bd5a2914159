import { isIP } from "node:net";
import type { SyncStatus, Tenant } from "@async-mail/db/store";
import {
  DEFAULT_TENANT,
  parseTenant,
  parseTenantChange,
  type TenantChange,
  TenantChangeSchema,
  TenantSchema,
} from "@async-mail/domain/tenant";
import { isoTime } from "@async-mail/runtime/clock";
import { anyButLinkLocal } from "@async-mail/runtime/egress";
import { tokenHash } from "@async-mail/runtime/token";
import { type Context, Hono } from "hono";
import * as v from "valibot";
import { failure, success, unprocessable, withoutNulls } from "./answers.ts";
import { inBody } from "./body.ts";
import type { Deps, Env } from "./deps.ts";
import { type Call, FailureSchema } from "./openapi.ts";
import { query } from "./query.ts";
import { flag } from "./query-values.ts";
import { ADMIN_WANTED, unknownTenant } from "./scope.ts";

const ok = v.literal(true);
const iso = v.pipe(v.string(), v.isoTimestamp());
const limit = v.optional(v.number());
const DoneSchema = v.object({ ok });
const KeySchema = v.object({
  ok,
  api_key: v.pipe(v.string(), v.description("Shown this once; the service keeps only its hash.")),
});
const TenantViewSchema = v.pipe(
  v.strictObject({
    id: v.string(),
    name: v.optional(v.string()),
    client_base_url: v.optional(v.string()),
    client_sync_path: v.string(),
    client_attachment_path: v.string(),
    client_auth: v.pipe(
      v.object({ method: v.picklist(["none", "basic", "bearer"]), user: v.optional(v.string()) }),
      v.description("Without its password or token."),
    ),
    active: v.boolean(),
    rate_limits: v.object({
      limit_per_minute: limit,
      limit_per_hour: limit,
      limit_per_day: limit,
      limit_recipients_per_day: limit,
    }),
    s3_prefixes: v.array(v.string()),
    has_api_key: v.boolean(),
    created_at: iso,
    updated_at: iso,
  }),
  v.metadata({ ref: "Tenant" }),
);
const AllSchema = v.object({ ok, tenants: v.array(TenantViewSchema) });
const OneSchema = v.object({ ok, ...TenantViewSchema.entries });
const SyncSchema = v.object({
  ok,
  tenants: v.array(
    v.object({
      id: v.string(),
      last_call: v.optional(iso),
      outcome: v.pipe(v.optional(v.string()), v.description("`ok`, or why the last call failed.")),
      next_due: v.optional(iso),
      reports_waiting: v.number(),
      quiet_until: v.optional(iso),
    }),
  ),
});
const ListQuery = v.object({ active_only: v.optional(flag) });

/** What a tenant's own key may change of it. */
const OWN_FIELDS = ["name", "client_auth"];
const ADMINS_FIELDS = Object.keys(TenantChangeSchema.entries).filter((field) => !OWN_FIELDS.includes(field));

/** The applications served, for who runs the service. */
export function tenantRoutes({ store, clock, bodies, log, newKey }: Deps, call: Call): Hono<Env> {
  const app = new Hono<Env>();

  const putting = call("tenants", {
    summary: "Register a tenant, or change it, and give it a new key",
    description: "Fields that are absent keep their value. Earlier keys end.",
    access: "admin",
    answers: { 200: KeySchema, 413: FailureSchema, 422: FailureSchema },
  });
  app.post("/tenant", putting, bodies.object(TenantSchema), async (c) => {
    const parsed = parseTenant(c.req.valid("json"));
    if (!parsed.ok) return unprocessable(c, inBody(parsed.issues));
    const refused = faultOfBaseUrl(c, parsed.change);
    if (refused !== null) return refused;
    const key = newKey();
    await store.tenants.put(parsed.id, parsed.change, tokenHash(key), clock.now());
    log.operated({ action: "tenant posted", tenant: parsed.id });
    c.set("warnings", parsed.warnings);
    return success(c, { api_key: key });
  });

  const listing = call("tenants", { summary: "List the tenants", access: "admin", answers: { 200: AllSchema } });
  app.get("/tenants", listing, query(ListQuery), async (c) => {
    const all = await store.tenants.list();
    const listed = c.req.valid("query").active_only ? all.filter(({ active }) => active) : all;
    return success(c, { tenants: listed.map(toTenantView) });
  });

  const syncing = call("tenants", {
    summary: "How each tenant stands with its client: last call, next due, reports that wait",
    access: "admin",
    answers: { 200: SyncSchema },
  });
  app.get("/tenants/sync-status", syncing, async (c) => {
    const all = await store.tenants.syncStatus(clock.now());
    return success(c, { tenants: all.map(toSyncView) });
  });

  const showing = call("tenants", {
    summary: "Show one tenant",
    access: "own",
    answers: { 200: OneSchema, 404: FailureSchema },
  });
  app.get("/tenant/:id", showing, async (c) => {
    const tenant = await store.tenants.find(c.req.param("id"));
    return tenant ? success(c, toTenantView(tenant)) : unknownTenant(c, c.req.param("id"));
  });

  const changing = call("tenants", {
    summary: "Change a tenant",
    description: "With its own key only `name` and `client_auth`.",
    access: "own",
    answers: { 200: DoneSchema, 404: FailureSchema, 413: FailureSchema, 422: FailureSchema },
  });
  app.put("/tenant/:id", changing, bodies.object(TenantChangeSchema), async (c) => {
    const id = c.req.param("id");
    const body = c.req.valid("json");
    const others = ADMINS_FIELDS.filter((field) => body[field] !== undefined && body[field] !== null);
    if (c.get("caller").kind === "tenant" && others.length > 0)
      return failure(c, 403, ADMIN_WANTED, `${ADMIN_WANTED} to change ${others.join(", ")}`);
    const parsed = parseTenantChange(body);
    if (!parsed.ok) return unprocessable(c, inBody(parsed.issues));
    const refused = faultOfBaseUrl(c, parsed.change);
    if (refused !== null) return refused;
    const caller = c.get("caller");
    const only = caller.kind === "tenant" ? caller.tenant.tenant : undefined;
    if (!(await store.tenants.change(id, parsed.change, clock.now(), only))) return unknownTenant(c, id);
    log.operated({ action: "tenant changed", tenant: id });
    c.set("warnings", parsed.warnings);
    return success(c);
  });

  const deleting = call("tenants", {
    summary: "Delete a tenant; its unsent messages become errors, which are still reported",
    access: "admin",
    answers: { 200: DoneSchema, 404: FailureSchema, 422: FailureSchema },
  });
  app.delete("/tenant/:id", deleting, async (c) => {
    const id = c.req.param("id");
    if (id === DEFAULT_TENANT) return notDeletable(c);
    if (!(await store.tenants.remove(id, clock.now()))) return unknownTenant(c, id);
    log.operated({ action: "tenant deleted", tenant: id });
    return success(c);
  });

  const rekeying = call("tenants", {
    summary: "Give a tenant a new key; the old one ends",
    access: "admin",
    answers: { 200: KeySchema, 404: FailureSchema },
  });
  app.post("/tenant/:id/api-key", rekeying, async (c) => {
    const id = c.req.param("id");
    const key = newKey();
    if (!(await store.tenants.setKey(id, tokenHash(key), clock.now()))) return unknownTenant(c, id);
    log.operated({ action: "tenant's key made", tenant: id });
    return success(c, { api_key: key });
  });

  const revoking = call("tenants", {
    summary: "End a tenant's key",
    access: "admin",
    answers: { 200: DoneSchema, 404: FailureSchema },
  });
  app.delete("/tenant/:id/api-key", revoking, async (c) => {
    const id = c.req.param("id");
    if (!(await store.tenants.setKey(id, null, clock.now()))) return unknownTenant(c, id);
    log.operated({ action: "tenant's key ended", tenant: id });
    return success(c);
  });

  return app;
}

/** By what stands in it; where a name leads is looked at when it is called. */
function faultOfBaseUrl(c: Context<Env>, { clientBaseUrl }: TenantChange): Response | null {
  const host = clientBaseUrl ? (URL.parse(clientBaseUrl)?.hostname ?? "").replace(/^\[(.*)\]$/, "$1") : "";
  const fault = isIP(host) === 0 ? null : anyButLinkLocal(host, host);
  if (fault === null) return null;
  return unprocessable(c, [{ type: "value_error", loc: ["body", "client_base_url"], msg: `is not allowed: ${fault}` }]);
}

function notDeletable(c: Context<Env>): Response {
  const msg = `the tenant ${DEFAULT_TENANT} is everybody's who names none`;
  return unprocessable(c, [{ type: "value_error", loc: ["path", "id"], msg }]);
}

/** No secret of it. */
function toTenantView(tenant: Tenant): v.InferOutput<typeof TenantViewSchema> {
  const { id, clientAuth, limits } = tenant;
  return {
    id,
    ...withoutNulls({ name: tenant.name, client_base_url: tenant.clientBaseUrl }),
    client_sync_path: tenant.clientSyncPath,
    client_attachment_path: tenant.clientAttachmentPath,
    client_auth: { method: clientAuth.method, ...(clientAuth.method === "basic" && { user: clientAuth.user }) },
    active: tenant.active,
    rate_limits: withoutNulls({
      limit_per_minute: limits.perMinute,
      limit_per_hour: limits.perHour,
      limit_per_day: limits.perDay,
      limit_recipients_per_day: limits.recipientsPerDay,
    }),
    s3_prefixes: [...tenant.s3Prefixes],
    has_api_key: tenant.hasKey,
    created_at: isoTime(tenant.createdMs),
    updated_at: isoTime(tenant.updatedMs),
  };
}

function toSyncView({ id, lastCallMs, outcome, nextDueMs, reportsWaiting, quietUntilMs }: SyncStatus) {
  const iso = (ms: number | null) => (ms === null ? null : isoTime(ms));
  return {
    id,
    reports_waiting: reportsWaiting,
    ...withoutNulls({
      last_call: iso(lastCallMs),
      outcome,
      next_due: iso(nextDueMs),
      quiet_until: iso(quietUntilMs),
    }),
  };
}
