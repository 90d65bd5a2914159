import { isDeepStrictEqual } from "node:util";
import { DEFAULT_ACCOUNT_ID } from "@async-mail/domain/account";
import { endOf } from "@async-mail/domain/decide";
import type { Message } from "@async-mail/domain/message";
import { toSteadyMs } from "@async-mail/domain/time";
import type { Enqueued, MessageStore } from "../store.ts";
import type { Engine } from "./engine.ts";
import { finish } from "./finish.ts";
import { readMessage, readPage } from "./list.ts";
import { type AttemptRow, deleteMessage, knownRecipients, type MessageRow, SELECT_ATTEMPT } from "./message-row.ts";
import { openPayload, sealPayload } from "./payload-row.ts";
import { anyToPurge, MOST_BYTES, purgeFinal } from "./purge.ts";
import { statement } from "./statement.ts";
import type { Tx } from "./tx.ts";
import { NO_TIME, type Writer } from "./writer.ts";

/** One transaction stores so many messages, or MOST_BYTES: others wait for the lock meanwhile. */
const MOST_MESSAGES = 250;

type Found = Pick<MessageRow, "key" | "queue" | "state" | "priority" | "reportMs">;

const INSERT =
  "INSERT INTO messages (tenant_id, id, account_id, batch_code, queue, priority, message_id, bytes, content_bytes, recipient_count, on_ambiguous, " +
  "created_ms, updated_ms, expires_ms, first_due_ms, state, due_ms, deferred_ms, suspended, seq) " +
  "VALUES (@tenant, @id, @accountId, @batchCode, @queue, @priority, @messageId, @bytes, @contentBytes, @recipientCount, @onAmbiguous, " +
  "@wallMs, @wallMs, @expiresMs, @dueMs, 'waiting', @dueMs, @deferredMs, @suspended, @seq) ON CONFLICT (tenant_id, id) DO NOTHING";
const FIND = "SELECT key, queue, state, priority, report_ms AS reportMs FROM messages WHERE tenant_id = ? AND id = ?";
/** Claim, history and Message-ID stay. */
const AFRESH =
  "state = 'waiting', suspended = 0, error = NULL, error_ms = NULL, ended_ms = NULL, lost_claims = 0, attempts = 0, first_attempt_ms = NULL, " +
  "smtp_response = NULL, report_ms = NULL, report_tries = 0, reported_classes = 0, reported_ms = NULL, updated_ms = @wallMs, seq = @seq";
const RESUBMIT =
  `UPDATE messages SET ${AFRESH.replace("suspended = 0", "suspended = @suspended")}, recipients = @outcomes, created_ms = @wallMs, account_id = @accountId, batch_code = @batchCode, queue = @queue, priority = @priority, ` +
  "bytes = @bytes, content_bytes = @contentBytes, recipient_count = @recipientCount, on_ambiguous = @onAmbiguous, expires_ms = @expiresMs, " +
  "first_due_ms = @dueMs, due_ms = @dueMs, deferred_ms = @deferredMs, deferred_reason = NULL WHERE key = @key";
const RETRY =
  `UPDATE messages SET ${AFRESH}, recipients = NULL, due_ms = @steadyMs, first_due_ms = @steadyMs, deferred_ms = NULL, deferred_reason = NULL, ` +
  "recipient_count = (SELECT json_array_length(recipients) FROM payloads WHERE message = messages.key) WHERE key = @key";
const REPORT_AGAIN =
  "UPDATE messages SET report_ms = @steadyMs, report_tries = 0, reported_ms = NULL, seq = @seq WHERE key = @key";
const ATTEMPT = `${SELECT_ATTEMPT} WHERE key = ?`;
const PAYLOAD = "SELECT payload FROM payloads WHERE message = ?";
const CONTENTS = "SELECT bytes FROM contents WHERE message = ? ORDER BY position";
const INSERT_PAYLOAD = "INSERT INTO payloads (message, payload, recipients) VALUES (?, ?, ?)";
const INSERT_CONTENT = "INSERT INTO contents (message, position, bytes) VALUES (?, ?, ?)";
const DELETE_PAYLOAD = "DELETE FROM payloads WHERE message = ?";
const DELETE_CONTENTS = "DELETE FROM contents WHERE message = ?";

/** `live` refuses what is asked for a tenant that was deleted. */
export function messageStore({ db, writer, disk }: Engine, live: Writer, tenant: string): MessageStore {
  return {
    async enqueue(messages, now, resent = "refused") {
      const answers: Enqueued[] = [];
      const all = chunksOf(messages).map((chunk) =>
        live.write(now, (tx) => {
          disk.mustHold(chunk.reduce((sum, message) => sum + message.bytes, 0));
          return chunk.map((message) => enqueue(tx, tenant, message, resent));
        }),
      );
      for (const chunk of await Promise.all(all)) answers.push(...chunk);
      return answers;
    },

    async remove(ids, now) {
      const answer = { removed: 0, notFound: [] as string[], inFlight: [] as string[] };
      for (const some of slices(ids, MOST_MESSAGES)) {
        const outcomes = await live.write(now, (tx) => some.map((id) => remove(tx, tenant, id)));
        outcomes.forEach((outcome, i) => {
          if (outcome === "removed") answer.removed += 1;
          else answer[outcome].push(some[i]!);
        });
      }
      return answer;
    },

    async retry(ids, now) {
      const answer = { retried: 0, notFound: [] as string[], notFailed: [] as string[] };
      for (const some of slices(ids, MOST_MESSAGES)) {
        const outcomes = await live.write(now, (tx) => some.map((id) => retry(tx, tenant, id)));
        outcomes.forEach((outcome, i) => {
          if (outcome === "retried") answer.retried += 1;
          else answer[outcome].push(some[i]!);
        });
      }
      return answer;
    },

    async purge(before, limit = Number.POSITIVE_INFINITY) {
      let purged = 0;
      while (purged < limit && (await writer.read(() => anyToPurge(db, tenant, before)))) {
        const most = Math.min(MOST_MESSAGES, limit - purged);
        purged += await writer.write(NO_TIME, (tx) => purgeFinal(tx, tenant, before, most));
      }
      return purged;
    },

    list: (filter, after, limit, now) => readPage({ db, tenant, read: writer.read }, filter, after, limit, now),
    get: (id, now) => writer.read(() => readMessage(db, tenant, id, now)),
  };
}

type Resent = NonNullable<Parameters<MessageStore["enqueue"]>[2]>;

function enqueue(tx: Tx, tenant: string, message: Message, resent: Resent): Enqueued {
  const queue = tx.queueOf(tenant, message.accountId ?? DEFAULT_ACCOUNT_ID);
  if (!queue?.account) return message.accountId === null ? "missing account configuration" : "account not found";
  const columns = bindingsOf(tx, tenant, message, queue.key);
  const inserted = statement(tx.db, INSERT).run(columns);
  if (inserted.changes === 0)
    return again(tx, message, columns, statement<Found>(tx.db, FIND).get(tenant, message.id)!, resent);
  storePayload(tx, Number(inserted.lastInsertRowid), message);
  queue.pending += 1;
  return "queued";
}

type Bindings = ReturnType<typeof bindingsOf>;

/** An id that is stored already. */
function again(tx: Tx, message: Message, columns: Bindings, found: Found, resent: Resent): Enqueued {
  if (found.state === "error") {
    startAfresh(tx, message, columns, found, null);
    return "queued";
  }
  if (resent === "refused") return "duplicate id";
  if (found.state === "sent") reportAgain(tx, columns, found);
  else if (found.state !== "claimed" && !isEqual(tx, message, columns, found)) replace(tx, message, columns, found);
  return "queued";
}

function startAfresh(tx: Tx, message: Message, columns: Bindings, found: Found, outcomes: string | null): void {
  unreport(tx, columns.tenant, found);
  statement(tx.db, RESUBMIT).run({ ...columns, outcomes, key: found.key });
  statement(tx.db, DELETE_PAYLOAD).run(found.key);
  statement(tx.db, DELETE_CONTENTS).run(found.key);
  storePayload(tx, found.key, message);
  tx.queue(columns.queue).pending += 1;
}

/** What was accepted of the one before stays so: nobody is sent the message twice. */
function replace(tx: Tx, message: Message, columns: Bindings, found: Found): void {
  const row = statement<AttemptRow>(tx.db, ATTEMPT).get(found.key)!;
  const before = knownRecipients(row.recipients, null).filter(({ outcome }) => outcome === "accepted");
  const accepted = new Map(before.map((one) => [one.address, one]));
  const left = message.recipients.filter((address) => !accepted.has(address));
  const queue = tx.queue(found.queue);
  if (left.length === 0) {
    finish(tx, row, queue, endOf(before, "replaced", false));
    return;
  }
  const outcomes = message.recipients.map((address) => accepted.get(address) ?? { address, outcome: "waiting" });
  queue.pending -= 1;
  tx.leftLine(queue);
  const known = accepted.size > 0 ? JSON.stringify(outcomes) : null;
  startAfresh(tx, message, { ...columns, recipientCount: left.length }, found, known);
}

function reportAgain(tx: Tx, { tenant }: Bindings, { key, reportMs }: Found): void {
  if (reportMs === null) tx.tenant(tenant).reportsWaiting += 1;
  statement(tx.db, REPORT_AGAIN).run({ key, steadyMs: tx.now.steadyMs, seq: tx.nextSeq() });
}

/** What is asked for is what stands there: nothing of it begins anew. */
function isEqual(tx: Tx, { payload, contents }: Message, { queue, priority }: Bindings, found: Found): boolean {
  if (found.queue !== queue || found.priority !== priority) return false;
  const stored = statement<string>(tx.db, PAYLOAD).pluck().get(found.key);
  if (stored === undefined || !isDeepStrictEqual(openPayload(tx.vault, stored, found.key), payload)) return false;
  const kept = statement<Uint8Array>(tx.db, CONTENTS).pluck().all(found.key);
  return kept.length === contents.length && kept.every((bytes, i) => Buffer.compare(bytes, contents[i]!) === 0);
}

function bindingsOf(tx: Tx, tenant: string, message: Message, queue: number) {
  const { wallMs, steadyMs } = tx.now;
  const scheduled = message.deferredMs !== null && message.deferredMs > wallMs ? message.deferredMs : null;
  return {
    tenant,
    id: message.id,
    accountId: message.accountId,
    batchCode: message.batchCode,
    queue,
    priority: message.priority,
    messageId: message.messageId,
    bytes: message.bytes,
    contentBytes: message.contents.reduce((sum, content) => sum + content.byteLength, 0),
    recipientCount: message.recipients.length,
    onAmbiguous: message.onAmbiguous,
    wallMs,
    expiresMs: message.expiresMs,
    dueMs: scheduled === null ? steadyMs : Math.ceil(toSteadyMs(scheduled, tx.now)),
    deferredMs: scheduled,
    suspended: tx.isSuspended(tenant, message.batchCode) ? 1 : 0,
    seq: tx.nextSeq(),
  };
}

function storePayload(tx: Tx, key: number, message: Message): void {
  const payload = sealPayload(tx.vault, message.payload, key);
  statement(tx.db, INSERT_PAYLOAD).run(key, payload, JSON.stringify(message.recipients));
  message.contents.forEach((content, position) => {
    statement(tx.db, INSERT_CONTENT).run(key, position, content);
  });
}

function remove(tx: Tx, tenant: string, id: string): "removed" | "notFound" | "inFlight" {
  const found = statement<Found>(tx.db, FIND).get(tenant, id);
  if (!found) return "notFound";
  if (found.state === "claimed") return "inFlight";
  deleteMessage(tx, found);
  return "removed";
}

function retry(tx: Tx, tenant: string, id: string): "retried" | "notFound" | "notFailed" {
  const found = statement<Found>(tx.db, FIND).get(tenant, id);
  if (!found) return "notFound";
  // Without its account it would only wait for ever.
  if (found.state !== "error" || !tx.queue(found.queue).account) return "notFailed";
  unreport(tx, tenant, found);
  statement(tx.db, RETRY).run({ key: found.key, seq: tx.nextSeq(), ...tx.now });
  tx.queue(found.queue).pending += 1;
  return "retried";
}

/** What is being tried again is no news any more. */
function unreport(tx: Tx, tenant: string, found: Found): void {
  if (found.reportMs !== null) tx.tenant(tenant).reportsWaiting -= 1;
}

function chunksOf(messages: Message[]): Message[][] {
  const chunks: Message[][] = [];
  let bytes = 0;
  for (const message of messages) {
    const last = chunks.at(-1);
    if (last && last.length < MOST_MESSAGES && bytes + message.bytes <= MOST_BYTES) {
      last.push(message);
      bytes += message.bytes;
    } else {
      chunks.push([message]);
      bytes = message.bytes;
    }
  }
  return chunks;
}

function slices<T>(list: T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}
