import type { ProcessRecord } from "@async-mail/db/store";
import { isoTime } from "@async-mail/runtime/clock";
import { coalesced } from "@async-mail/runtime/coalesced";
import { whyNotReady } from "@async-mail/runtime/readiness";
import { type Context, Hono } from "hono";
import * as v from "valibot";
import { success, unavailable } from "./answers.ts";
import type { Deps, Env } from "./deps.ts";
import { type Call, FailureSchema } from "./openapi.ts";
import { query } from "./query.ts";
import { scopeOf, tenantOf } from "./scope.ts";

const ok = v.literal(true);
const iso = v.pipe(v.string(), v.isoTimestamp());
const ProcessSchema = v.strictObject({
  kind: v.picklist(["api", "dispatcher", "reporter"]),
  pid: v.optional(v.number()),
  host: v.optional(v.string()),
  version: v.string(),
  started_at: iso,
  seen_at: iso,
});
const StatusSchema = v.object({
  ok,
  active: v.boolean(),
  pending_messages: v.number(),
  processes: v.array(ProcessSchema),
  version: v.string(),
});
const DoneSchema = v.object({ ok });
const SwitchedSchema = v.object({ ok, active: v.boolean() });
const SuspensionsSchema = v.object({
  ok,
  tenant_id: v.string(),
  batch_code: v.optional(v.string()),
  suspended_batches: v.pipe(v.array(v.string()), v.description("`*` alone: the whole tenant.")),
  pending_messages: v.number(),
});
const BatchSchema = v.object({
  batch_code: v.nullish(
    v.pipe(v.string("Input should be a valid string"), v.maxLength(64, "Input should have at most 64 characters")),
  ),
});
/** For calls that need none: it may say whose they are. */
const NothingSchema = v.object({});
const OF_TENANT = "with a tenant's key or `tenant_id`, one tenant, or of it the batch that `batch_code` names.";

type Batch = v.InferOutput<typeof BatchSchema>;
type SwitchContext = Context<Env, string, { out: { query: Batch; json: Batch } }>;
const HealthSchema = v.object({ status: v.literal("ok") });

export function serviceRoutes({ store, clock, bodies, version, stands, stopping, log }: Deps, call: Call): Hono<Env> {
  const app = new Hono<Env>();

  app.get(
    "/status",
    call("service", { summary: "What the service is doing", access: "tenant", answers: { 200: StatusSchema } }),
    async (c) => {
      const { tenant, by } = scopeOf(c);
      const [{ active, pendingMessages }, processes] = await Promise.all([
        by === "admin" && !scopeOf(c).withTenants ? store.service.status() : store.of(tenant).service.standing(),
        store.processes.list(),
      ]);
      return success(c, {
        active,
        pending_messages: pendingMessages,
        // Machines and process numbers are the operator's business.
        processes: processes.map((one) => (by === "admin" ? toProcessView(one) : toTenantsProcessView(one))),
        version,
      });
    },
  );

  const running = call("service", {
    summary: "Look at the queue and poll the client now",
    description: "Not while suspended, nor before the client's `next_sync_after`. Deferrals and limits still hold.",
    access: "tenant",
    answers: { 200: DoneSchema },
  });
  const asking = new Map<string, () => Promise<void>>();
  const runNow = (tenant: string) => {
    const ask = asking.get(tenant) ?? coalesced(() => store.of(tenant).service.runNow(), clock);
    asking.set(tenant, ask);
    return ask();
  };
  app.post("/commands/run-now", running, bodies.json(NothingSchema), async (c) => {
    await runNow(scopeOf(c).tenant);
    return success(c);
  });

  const switches = { 200: v.union([SwitchedSchema, SuspensionsSchema]), 413: FailureSchema, 422: FailureSchema };
  const suspending = call("service", {
    summary: "Send no message and poll nobody, until activated",
    description: `The whole service; ${OF_TENANT}`,
    access: "tenant",
    answers: switches,
  });
  app.post("/commands/suspend", suspending, query(BatchSchema), bodies.json(BatchSchema), (c) => setActive(c, false));
  const activating = call("service", {
    summary: "End a suspension",
    description: `That of the whole service; ${OF_TENANT} Without \`batch_code\` all suspensions of the tenant end, but an admin's to a tenant's key.`,
    access: "tenant",
    answers: switches,
  });
  app.post("/commands/activate", activating, query(BatchSchema), bodies.json(BatchSchema), (c) => setActive(c, true));

  async function setActive(c: SwitchContext, active: boolean): Promise<Response> {
    const { withTenants } = scopeOf(c);
    const named = c.req.valid("query").batch_code || c.req.valid("json").batch_code || null;
    if (withTenants || named !== null) return setTenantActive(c, active, named === "*" ? null : named);
    await store.service.setActive(active);
    log.operated({ action: active ? "activated" : "suspended" });
    return success(c, { active });
  }

  async function setTenantActive(c: SwitchContext, active: boolean, batch: string | null): Promise<Response> {
    const scope = scopeOf(c);
    const { service } = store.of(scope.tenant);
    const after = await (active ? service.activate : service.suspend)(batch, scope.by, clock.now());
    log.operated({
      action: active ? "activated" : "suspended",
      ...tenantOf(scope),
      ...(batch !== null && { batch }),
    });
    return success(c, {
      tenant_id: scope.id,
      batch_code: batch,
      suspended_batches: after.batches,
      pending_messages: after.pending,
    });
  }

  const alive = call("health", { summary: "The process lives", access: "open", answers: { 200: HealthSchema } });
  app.get("/health", alive, (c) => c.json({ status: "ok" }));
  app.get(
    "/livez",
    call("health", { summary: "The process lives", access: "open", answers: { 200: DoneSchema } }),
    (c) => success(c),
  );

  const checkWritable = async () => {
    await store.service.checkWritable();
    await store.service.checkRoom();
  };
  // It writes, and is asked without a token.
  const notReady = coalesced(() => whyNotReady({ stopping, stands, checkWritable }), clock);
  const ready = call("health", {
    summary: "Whether requests can be served: database writable, schema current, not stopping",
    access: "open",
    answers: { 200: DoneSchema, 503: FailureSchema },
  });
  app.get("/readyz", ready, async (c) => {
    const reason = await notReady();
    return reason === null ? success(c) : unavailable(c, reason, 5);
  });

  return app;
}

function toProcessView(record: ProcessRecord): v.InferOutput<typeof ProcessSchema> {
  const { kind, pid, host, version } = record;
  return { kind, pid, host, version, started_at: isoTime(record.startedMs), seen_at: isoTime(record.seenMs) };
}

function toTenantsProcessView(record: ProcessRecord): v.InferOutput<typeof ProcessSchema> {
  const { pid: _, host: __, ...shown } = toProcessView(record);
  return shown;
}
