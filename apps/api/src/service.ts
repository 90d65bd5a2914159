import type { ProcessRecord } from "@async-mail/db/store";
import { type Clock, isoTime } from "@async-mail/runtime/clock";
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

export function serviceRoutes({ store, clock, version, stands, stopping }: Deps): Hono<Env> {
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

  // It writes, and is asked without a token.
  const checkWritable = coalesced(() => store.service.checkWritable(), clock);
  const ready = call("health", {
    summary: "Whether requests can be served: database writable, schema current, not stopping",
    answers: { 200: DoneSchema, 503: FailureSchema },
    open: true,
  });
  app.get("/readyz", ready, async (c) => {
    if (stopping.aborted) return unavailable(c, "draining", 5);
    // The check takes its write back; that others reach the disk, a full one too, is shown by this process's beats.
    if (!stands()) return unavailable(c, "the database has not taken a write for too long", 5);
    try {
      await checkWritable();
    } catch (error) {
      return unavailable(c, (error as Error).message, 5);
    }
    return success(c);
  });

  return app;
}

/** Between two writes of one kind: nobody notices so short a wait, and any number of calls cost the same. */
const GAP_MS = 20;

/** Calls that come while `write` runs, or too soon after it, share the next. */
function coalesced(write: () => Promise<void>, clock: Clock): () => Promise<void> {
  let next: Promise<void> | null = null;
  let lastMs = Number.NEGATIVE_INFINITY;

  async function writeNext(): Promise<void> {
    await clock.sleep(lastMs + GAP_MS - clock.monotonicMs());
    next = null;
    lastMs = clock.monotonicMs();
    await write();
  }
  return () => {
    next ??= writeNext();
    return next;
  };
}

function toProcessView(record: ProcessRecord): v.InferOutput<typeof ProcessSchema> {
  const { kind, pid, host, version } = record;
  return { kind, pid, host, version, started_at: isoTime(record.startedMs), seen_at: isoTime(record.seenMs) };
}
