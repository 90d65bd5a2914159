import { DEFAULT_ACCOUNT_ID } from "@async-mail/domain/account";
import type { Message } from "@async-mail/domain/message";
import { toSteadyMs } from "@async-mail/domain/time";
import type { MessageStore } from "../store.ts";
import type { Engine } from "./engine.ts";
import { readMessage, readPage } from "./list.ts";
import { deleteMessage, type MessageRow } from "./message-row.ts";
import { anyToPurge, MOST_BYTES, purgeFinal } from "./purge.ts";
import { statement } from "./statement.ts";
import type { Tx } from "./tx.ts";
import { NO_TIME } from "./writer.ts";

/** One transaction stores so many messages, or MOST_BYTES: others wait for the lock meanwhile. */
const MOST_MESSAGES = 250;

type Enqueued = Awaited<ReturnType<MessageStore["enqueue"]>>[number];
type Found = Pick<MessageRow, "key" | "queue" | "state" | "reportMs">;

const INSERT =
  "INSERT INTO messages (tenant_id, id, account_id, queue, priority, message_id, bytes, content_bytes, recipient_count, on_ambiguous, " +
  "created_ms, updated_ms, expires_ms, first_due_ms, state, due_ms, deferred_ms, seq) " +
  "VALUES ('default', @id, @accountId, @queue, @priority, @messageId, @bytes, @contentBytes, @recipientCount, @onAmbiguous, " +
  "@wallMs, @wallMs, @expiresMs, @dueMs, 'waiting', @dueMs, @deferredMs, @seq) ON CONFLICT (tenant_id, id) DO NOTHING";
const NEWEST = "SELECT max(key) FROM messages";
const FIND = "SELECT key, queue, state, report_ms AS reportMs FROM messages WHERE tenant_id = 'default' AND id = ?";
/** Claim, history and Message-ID stay. */
const AFRESH =
  "state = 'waiting', error = NULL, error_ms = NULL, ended_ms = NULL, lost_claims = 0, attempts = 0, first_attempt_ms = NULL, " +
  "recipients = NULL, smtp_response = NULL, report_ms = NULL, report_tries = 0, reported_classes = 0, reported_ms = NULL, updated_ms = @wallMs, seq = @seq";
const RESUBMIT =
  `UPDATE messages SET ${AFRESH}, created_ms = @wallMs, account_id = @accountId, queue = @queue, priority = @priority, bytes = @bytes, content_bytes = @contentBytes, ` +
  "recipient_count = @recipientCount, on_ambiguous = @onAmbiguous, expires_ms = @expiresMs, first_due_ms = @dueMs, due_ms = @dueMs, " +
  "deferred_ms = @deferredMs, deferred_reason = NULL WHERE key = @key";
const RETRY =
  `UPDATE messages SET ${AFRESH}, due_ms = @steadyMs, first_due_ms = @steadyMs, deferred_ms = NULL, deferred_reason = NULL, ` +
  "recipient_count = (SELECT json_array_length(recipients) FROM payloads WHERE message = messages.key) WHERE key = @key";
const INSERT_PAYLOAD = "INSERT INTO payloads (message, payload, recipients) VALUES (?, ?, ?)";
const INSERT_CONTENT = "INSERT INTO contents (message, position, bytes) VALUES (?, ?, ?)";
const DELETE_PAYLOAD = "DELETE FROM payloads WHERE message = ?";
const DELETE_CONTENTS = "DELETE FROM contents WHERE message = ?";

export function messageStore({ db, writer, disk }: Engine): MessageStore {
  return {
    async enqueue(messages, now) {
      const answers: Enqueued[] = [];
      const all = chunksOf(messages).map((chunk) =>
        writer.write(now, (tx) => {
          disk.mustHold(chunk.reduce((sum, message) => sum + message.bytes, 0));
          return chunk.map((message) => enqueue(tx, message));
        }),
      );
      for (const chunk of await Promise.all(all)) answers.push(...chunk);
      return answers;
    },

    async remove(ids, now) {
      const answer = { removed: 0, notFound: [] as string[], inFlight: [] as string[] };
      for (const some of slices(ids, MOST_MESSAGES)) {
        const outcomes = await writer.write(now, (tx) => some.map((id) => remove(tx, id)));
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
        const outcomes = await writer.write(now, (tx) => some.map((id) => retry(tx, id)));
        outcomes.forEach((outcome, i) => {
          if (outcome === "retried") answer.retried += 1;
          else answer[outcome].push(some[i]!);
        });
      }
      return answer;
    },

    async cleanup(before) {
      let removed = 0;
      while (await writer.read(() => anyToPurge(db, before))) {
        removed += await writer.write(NO_TIME, (tx) => purgeFinal(tx, before, MOST_MESSAGES));
      }
      return removed;
    },

    newestKey: () => writer.read(() => statement<number | null>(db, NEWEST).pluck().get() ?? 0),
    list: (filter, after, limit, now) => readPage(db, writer.read, filter, after, limit, now),
    get: (id, now) => writer.read(() => readMessage(db, id, now)),
  };
}

function enqueue(tx: Tx, message: Message): Enqueued {
  const queue = tx.queueOf(message.accountId ?? DEFAULT_ACCOUNT_ID);
  if (!queue?.account) return message.accountId === null ? "missing account configuration" : "account not found";
  const columns = bindingsOf(tx, message, queue.key);
  const inserted = statement(tx.db, INSERT).run(columns);
  if (inserted.changes === 1) {
    storePayload(tx, Number(inserted.lastInsertRowid), message);
  } else {
    const found = statement<Found>(tx.db, FIND).get(message.id)!;
    if (found.state !== "error") return "duplicate id";
    unreport(tx, found);
    statement(tx.db, RESUBMIT).run({ ...columns, key: found.key });
    statement(tx.db, DELETE_PAYLOAD).run(found.key);
    statement(tx.db, DELETE_CONTENTS).run(found.key);
    storePayload(tx, found.key, message);
  }
  queue.pending += 1;
  return "queued";
}

function bindingsOf(tx: Tx, message: Message, queue: number) {
  const { wallMs, steadyMs } = tx.now;
  const scheduled = message.deferredMs !== null && message.deferredMs > wallMs ? message.deferredMs : null;
  return {
    id: message.id,
    accountId: message.accountId,
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
    seq: tx.nextSeq(),
  };
}

function storePayload(tx: Tx, key: number, message: Message): void {
  statement(tx.db, INSERT_PAYLOAD).run(key, JSON.stringify(message.payload), JSON.stringify(message.recipients));
  message.contents.forEach((content, position) => {
    statement(tx.db, INSERT_CONTENT).run(key, position, content);
  });
}

function remove(tx: Tx, id: string): "removed" | "notFound" | "inFlight" {
  const found = statement<Found>(tx.db, FIND).get(id);
  if (!found) return "notFound";
  if (found.state === "claimed") return "inFlight";
  deleteMessage(tx, found);
  return "removed";
}

function retry(tx: Tx, id: string): "retried" | "notFound" | "notFailed" {
  const found = statement<Found>(tx.db, FIND).get(id);
  if (!found) return "notFound";
  // Without its account it would only wait for ever.
  if (found.state !== "error" || !tx.queue(found.queue).account) return "notFailed";
  unreport(tx, found);
  statement(tx.db, RETRY).run({ key: found.key, seq: tx.nextSeq(), ...tx.now });
  tx.queue(found.queue).pending += 1;
  return "retried";
}

/** A failure that is being tried again is no news any more. */
function unreport(tx: Tx, found: Found): void {
  if (found.reportMs !== null) tx.service().reportsWaiting -= 1;
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
