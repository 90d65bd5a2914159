import type { ProcessRecord } from "@async-mail/db/store";
import { isoTime } from "@async-mail/runtime/clock";
import { coalesced } from "@async-mail/runtime/coalesced";
import { whyNotReady } from "@async-mail/runtime/readiness";
import { type Context, Hono } from "hono";
import * as v from "valibot";
import { success, unavailable } from "./answers.ts";
import type { Deps, Env } from "./deps.ts";
import { call, FailureSchema } from "./openapi.ts";

const ok = v.literal(true);
const iso = v.pipe(v.string(), v.isoTimestamp());
const ProcessSchema = v.strictObject({
  kind: v.picklist(["api", "dispatcher", "reporter"]),
  pid: v.number(),
  host: v.string(),
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
const HealthSchema = v.object({ status: v.literal("ok") });

export function serviceRoutes({ store, clock, version, stands, stopping, log }: Deps): Hono<Env> {
  const app = new Hono<Env>();

  app.get(
    "/status",
    call("service", { summary: "What the service is doing", answers: { 200: StatusSchema } }),
    async (c) => {
      const [{ active, pendingMessages }, processes] = await Promise.all([
        store.service.status(),
        store.processes.list(),
      ]);
      return success(c, {
        active,
        pending_messages: pendingMessages,
        processes: processes.map(toProcessView),
        version,
      });
    },
  );

  const running = call("service", {
    summary: "Look at the queue and poll the client now",
    description: "Not while suspended, nor before the client's `next_sync_after`. Deferrals and limits still hold.",
    answers: { 200: DoneSchema },
  });
  const runNow = coalesced(() => store.service.runNow(), clock);
  app.post("/commands/run-now", running, async (c) => {
    await runNow();
    return success(c);
  });

  async function setActive(c: Context<Env>, active: boolean): Promise<Response> {
    await store.service.setActive(active);
    log.operated({ action: active ? "activated" : "suspended" });
    return success(c, { active });
  }
  const suspending = call("service", {
    summary: "Send no message and poll nobody, until activated",
    answers: { 200: SwitchedSchema },
  });
  app.post("/commands/suspend", suspending, (c) => setActive(c, false));
  const activating = call("service", { summary: "End a suspension", answers: { 200: SwitchedSchema } });
  app.post("/commands/activate", activating, (c) => setActive(c, true));

  const alive = call("health", { summary: "The process lives", answers: { 200: HealthSchema }, open: true });
  app.get("/health", alive, (c) => c.json({ status: "ok" }));
  app.get("/livez", call("health", { summary: "The process lives", answers: { 200: DoneSchema }, open: true }), (c) =>
    success(c),
  );

  const checkWritable = async () => {
    await store.service.checkWritable();
    await store.service.checkRoom();
  };
  // It writes, and is asked without a token.
  const notReady = coalesced(() => whyNotReady({ stopping, stands, checkWritable }), clock);
  const ready = call("health", {
    summary: "Whether requests can be served: database writable, schema current, not stopping",
    answers: { 200: DoneSchema, 503: FailureSchema },
    open: true,
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
