import { setImmediate as nextTurn } from "node:timers/promises";
import type { Enqueued } from "@async-mail/db/store";
import { type Message, MessageSchema, parseMessage, type Rejection } from "@async-mail/domain/message";
import { type Priority, parsePriority } from "@async-mail/domain/priority";
import type { Context } from "hono";
import * as v from "valibot";
import { failure, success, warnings } from "./answers.ts";
import type { Deps, Env } from "./deps.ts";
import { type Owner, owners } from "./owner.ts";
import { type Scope, scopeOf, tenantOf } from "./scope.ts";

/** More in one call would hold a transaction, and all who wait for it, too long. */
const MOST_MESSAGES = 1000;
const TOO_MANY = `Cannot enqueue more than ${MOST_MESSAGES} messages at once`;
const ALL_REJECTED = "all messages rejected";

const DefaultPrioritySchema = v.pipe(
  v.union([v.number(), v.string()], "Input should be 0 to 3, or immediate, high, medium or low"),
  v.check((value) => parsePriority(value) !== null, "Input should be 0 to 3, or immediate, high, medium or low"),
);

/** What stands outside the messages; they are parsed one by one, since each stands alone. */
export const AddMessagesSchema = v.object({
  tenant_id: v.nullish(v.pipe(v.string("Input should be a valid string"), v.description("As in the query."))),
  messages: v.array(v.unknown(), "Input should be a list"),
  default_priority: v.nullish(DefaultPrioritySchema),
});
export const PostedSchema = v.object({ ...AddMessagesSchema.entries, messages: v.array(MessageSchema) });

const RejectionSchema = v.object({ id: v.nullable(v.string()), reason: v.string() });
export const QueuedSchema = v.object({
  ok: v.literal(true),
  queued: v.number(),
  rejected: v.array(RejectionSchema),
  warnings: v.optional(v.array(v.string())),
});
export const AllRejectedSchema = v.object({
  ok: v.literal(false),
  error: v.literal(ALL_REJECTED),
  rejected: v.array(RejectionSchema),
  detail: v.object({ error: v.literal(ALL_REJECTED), rejected: v.array(RejectionSchema) }),
});
export const TooManySchema = v.object({
  ok: v.literal(false),
  error: v.literal(TOO_MANY),
  detail: v.object({ error: v.literal(TOO_MANY), rejected: v.null() }),
});

/** POST /commands/add-messages, contract §3.3. */
export async function addMessages(
  deps: Deps,
  c: Context<Env>,
  body: v.InferOutput<typeof AddMessagesSchema>,
): Promise<Response> {
  if (body.messages.length > MOST_MESSAGES) return failure(c, 400, TOO_MANY, { error: TOO_MANY, rejected: null });

  const parsed = await parseAll(deps, c, body.messages, body.default_priority);
  const verdicts = await enqueue(
    deps,
    parsed.flatMap((one) => (one.ok ? [one] : [])),
  );
  const rejected = parsed.flatMap((one): Rejection[] => {
    if (!one.ok) return [one.rejection];
    const reason = verdicts.get(one.message)!;
    return reason === "queued" ? [] : [{ id: one.message.id, reason }];
  });
  const queued = body.messages.length - rejected.length;
  count(deps, scopeOf(c), queued, rejected);

  // Duplicates alone are a success: a client that sends again after a lost answer is told that nothing is missing.
  if (queued === 0 && rejected.some(({ reason }) => reason !== "duplicate id")) return allRejected(c, rejected);
  c.set("warnings", [...(c.get("warnings") ?? []), ...messageWarnings(parsed)]);
  return success(c, { queued, rejected });
}

type Parsed = Extract<ReturnType<typeof parseMessage>, { ok: false }> | Accepted;
type Accepted = Extract<ReturnType<typeof parseMessage>, { ok: true }> & { owner: Owner };

/** Other calls are answered between two messages: a thousand large ones take their time. */
const AT_A_STRETCH_MS = 20;

async function parseAll(
  deps: Deps,
  c: Context<Env>,
  messages: unknown[],
  given: string | number | null | undefined,
): Promise<Parsed[]> {
  const { clock, config, newMessageId } = deps;
  const defaultPriority: Priority = (given == null ? null : parsePriority(given)) ?? config.delivery.defaultPriority;
  const limits = { s3Allow: config.s3.allow, maxAttachmentBytes: config.attachments.maxBytes };
  const context = { now: clock.now().wallMs, defaultPriority, newMessageId, ...limits };
  const ownerOf = owners(deps, c, messages);
  const parsed: Parsed[] = [];
  let begunMs = clock.monotonicMs();
  for (const raw of messages) {
    const found = ownerOf(raw);
    const owner = found instanceof Promise ? await found : found;
    if ("reason" in owner) parsed.push({ ok: false, rejection: owner });
    else {
      const { s3Prefixes, endpoint } = owner;
      const one = parseMessage(raw, { ...context, tenantS3: s3Prefixes, endpoint });
      parsed.push(one.ok ? { ...one, owner } : one);
    }
    if (clock.monotonicMs() - begunMs < AT_A_STRETCH_MS) continue;
    await nextTurn();
    begunMs = clock.monotonicMs();
  }
  return parsed;
}

/** Each tenant's in transactions of their own. */
async function enqueue({ store, clock }: Deps, accepted: Accepted[]) {
  const verdicts = new Map<Message, Enqueued>();
  const batches = Map.groupBy(accepted, ({ owner }) => owner);
  await Promise.all(
    [...batches].map(async ([{ tenant, withTenants }, batch]) => {
      const messages = batch.map(({ message }) => message);
      const resent = withTenants ? "replaces" : "refused";
      const answers = await store.of(tenant).messages.enqueue(messages, clock.now(), resent);
      messages.forEach((message, i) => {
        verdicts.set(message, answers[i]!);
      });
    }),
  );
  return verdicts;
}

function count({ log, metrics }: Deps, scope: Scope, queued: number, rejected: Rejection[]): void {
  metrics.enqueued(queued);
  for (const { reason } of rejected) metrics.rejected(reason);
  log.enqueued({ ...tenantOf(scope), queued, rejected: rejected.length });
}

/** The one failure with a `rejected` of its own: clients take it as the verdict on the whole batch. */
function allRejected(c: Context<Env>, rejected: Rejection[]): Response {
  return c.json(
    { ok: false, error: ALL_REJECTED, rejected, detail: { error: ALL_REJECTED, rejected }, ...warnings(c) },
    400,
  );
}

/** The same text of many messages is said once. */
function messageWarnings(parsed: Parsed[]): string[] {
  const found = new Map<string, { first: string; count: number }>();
  for (const one of parsed) {
    if (!one.ok) continue;
    for (const text of one.warnings) {
      const seen = found.get(text);
      if (seen) seen.count += 1;
      else found.set(text, { first: one.message.id, count: 1 });
    }
  }
  return [...found].map(
    ([text, { first, count }]) => `${text} (message ${first}${count > 1 ? ` and ${count - 1} more` : ""})`,
  );
}
