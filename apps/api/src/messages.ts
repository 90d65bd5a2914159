import type { MessageFilter } from "@async-mail/db/store";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import { Hono } from "hono";
import * as v from "valibot";
import {
  AddMessagesSchema,
  AllRejectedSchema,
  addMessages,
  PostedSchema,
  QueuedSchema,
  TooManySchema,
} from "./add-messages.ts";
import { notFound, success } from "./answers.ts";
import type { Deps, Env } from "./deps.ts";
import { type Call, FailureSchema } from "./openapi.ts";
import { query } from "./query.ts";
import { flag } from "./query-values.ts";
import { RecordSchema, STATUSES, toRecord } from "./record.ts";
import { type Scope, scopeOf } from "./scope.ts";
import { streamRecords } from "./stream-records.ts";

const IdsSchema = v.object({ ids: v.array(v.string("Input should be a string"), "Input should be a list") });
const CleanupSchema = v.object({
  older_than_seconds: v.nullish(v.number("Input should be a number")),
  unreported: v.nullish(v.boolean("Input should be true or false")),
});
const limit = v.pipe(
  v.string(),
  v.regex(/^([1-9]\d{0,2}|1000)$/, "Input should be a whole number from 1 to 1000"),
  v.description("1 to 1000; the answer then has a next_cursor while there is more"),
  v.transform(Number),
);
const ListSchema = v.object({
  status: v.optional(v.picklist(STATUSES)),
  active_only: v.optional(flag),
  account_id: v.optional(v.string()),
  batch_code: v.optional(v.string()),
  limit: v.optional(limit),
});

const ok = v.literal(true);
const RemovedSchema = v.object({ ok, removed: v.number() });
const DeletedSchema = v.object({
  ok,
  removed: v.number(),
  not_found: v.array(v.string()),
  in_flight: v.optional(v.array(v.string())),
});
const RetriedSchema = v.object({
  ok,
  retried: v.number(),
  not_found: v.array(v.string()),
  not_failed: v.array(v.string()),
});
const ListedSchema = v.object({ ok, messages: v.array(RecordSchema), next_cursor: v.optional(v.string()) });
const ShownSchema = v.object({ ok, ...RecordSchema.entries });

export function messageRoutes(deps: Deps, call: Call): Hono<Env> {
  const { store, clock, bodies, config, cursors } = deps;
  const app = new Hono<Env>();
  const cursor = v.pipe(
    v.string(),
    v.description("The next_cursor of the page before"),
    v.check((text) => cursors.read(text) !== null, "Input should be the next_cursor of an earlier answer"),
    v.transform((text) => cursors.read(text)!),
  );

  const adding = call("messages", {
    summary: "Put messages in the queue",
    description:
      "Each message stands alone: whatever is wrong with one, the others are queued. 200 means stored and synced to disk.",
    access: "tenant",
    answers: {
      200: QueuedSchema,
      400: v.union([AllRejectedSchema, TooManySchema]),
      413: FailureSchema,
      422: FailureSchema,
    },
  });
  app.post("/commands/add-messages", adding, bodies.json(AddMessagesSchema, PostedSchema), (c) =>
    addMessages(deps, c, c.req.valid("json")),
  );

  const deleting = call("messages", {
    summary: "Delete messages, but those being sent right now",
    access: "tenant",
    answers: { 200: DeletedSchema, 413: FailureSchema, 422: FailureSchema },
  });
  app.post("/commands/delete-messages", deleting, bodies.json(IdsSchema), async (c) => {
    const { messages } = store.of(scopeOf(c).tenant);
    const { removed, notFound, inFlight } = await messages.remove(unique(c.req.valid("json").ids), clock.now());
    return success(c, { removed, not_found: notFound.sort(), in_flight: inFlight.length > 0 ? inFlight.sort() : null });
  });

  const cleaning = call("messages", {
    summary: "Delete final messages that were reported long ago",
    access: "tenant",
    answers: { 200: RemovedSchema, 413: FailureSchema, 422: FailureSchema },
  });
  app.post("/commands/cleanup-messages", cleaning, bodies.json(CleanupSchema), async (c) => {
    const { older_than_seconds, unreported } = c.req.valid("json");
    const retention = config.delivery.deliveryReportRetentionSeconds;
    // A retention of 0 or less keeps for ever; only an age that was asked for deletes then.
    if (older_than_seconds == null && retention <= 0) return success(c, { removed: 0 });
    const beforeMs = clock.now().wallMs - Math.max(0, older_than_seconds ?? retention) * 1000;
    const byEnd = unreported === true || !(await hasClient(deps, scopeOf(c)));
    const removed = await store.of(scopeOf(c).tenant).messages.purge({
      reportedBeforeMs: beforeMs,
      endedBeforeMs: byEnd ? beforeMs : null,
    });
    return success(c, { removed });
  });

  const retrying = call("messages", {
    summary: "Put failed messages back in the queue",
    access: "tenant",
    answers: { 200: RetriedSchema, 413: FailureSchema, 422: FailureSchema },
  });
  app.post("/commands/retry-messages", retrying, bodies.json(IdsSchema), async (c) => {
    const { messages } = store.of(scopeOf(c).tenant);
    const { retried, notFound, notFailed } = await messages.retry(unique(c.req.valid("json").ids), clock.now());
    return success(c, { retried, not_found: notFound.sort(), not_failed: notFailed.sort() });
  });

  const listing = call("messages", {
    summary: "List messages, by priority, then age",
    description: "The answer is streamed. Without `limit` it has all rows.",
    access: "tenant",
    answers: { 200: ListedSchema, 422: FailureSchema },
  });
  app.get("/messages", listing, query(v.object({ ...ListSchema.entries, cursor: v.optional(cursor) })), async (c) => {
    const { limit, cursor, ...asked } = c.req.valid("query");
    const position = { after: cursor ?? null, limit: limit ?? null };
    return streamRecords(deps, c, { scope: scopeOf(c), filter: toFilter(asked), ...position });
  });

  const showing = call("messages", {
    summary: "Show one message with its history",
    access: "tenant",
    answers: { 200: ShownSchema, 404: FailureSchema },
  });
  app.get("/messages/:id", showing, async (c) => {
    const scope = scopeOf(c);
    const row = await store.of(scope.tenant).messages.get(c.req.param("id"), clock.now());
    return row ? success(c, toRecord(row, scope)) : notFound(c, "message");
  });

  return app;
}

function toFilter(asked: {
  status?: MessageFilter["status"];
  active_only?: boolean;
  account_id?: string;
  batch_code?: string;
}): MessageFilter {
  return {
    ...(asked.status && { status: asked.status }),
    ...(asked.active_only && { activeOnly: true }),
    ...(asked.account_id !== undefined && { accountId: asked.account_id }),
    ...(asked.batch_code !== undefined && { batchCode: asked.batch_code }),
  };
}

/** Without one nothing is reported. The configuration's is the tenant `default`'s, unless it has one of its own. */
async function hasClient({ store, config }: Deps, { tenant, id }: Scope): Promise<boolean> {
  if (tenant === DEFAULT_TENANT && config.sync.proxySyncUrl !== null) return true;
  return ((await store.tenants.find(id))?.clientBaseUrl ?? null) !== null;
}

function unique(ids: string[]): string[] {
  return [...new Set(ids)];
}
