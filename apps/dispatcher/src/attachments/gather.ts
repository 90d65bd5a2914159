import type { Claim, Store } from "@async-mail/db/store";
import { tooManyBytes } from "@async-mail/domain/attachment";
import { type DraftAttachment, draftAttachments } from "@async-mail/domain/draft";
import { Piscina } from "piscina";
import { bytesOf as lengthOf, type OpenFile, type Part } from "../composed.ts";
import { ComposerClosed } from "../composer.ts";
import type { AttachedAs } from "../mime-text.ts";
import { type CachedFile, openCached } from "./cache.ts";
import type { FetchSettings } from "./fetch.worker.ts";
import { type Elsewhere, type FetchContext, fetchTask, needsTenant } from "./fetch-task.ts";
import type { FetchAnswer } from "./fetcher.ts";
import { asLines, isMessage } from "./message-lines.ts";
import { createRoom } from "./room.ts";

export type AttachmentCount = {
  source: DraftAttachment["source"]["kind"];
  outcome: "fetched" | "cached" | "failed";
};

/** All attachments of a message, ready to be sent, or why it cannot go out. */
export type Gathered = ({ ok: true; attached: Attached[] } | Failed) & {
  counts: AttachmentCount[];
  /** Once they are not needed any more; their files are closed then. Never throws. */
  release(): Promise<void>;
};

export type Attached = { as: AttachedAs; part: Part };

export type Attachments = {
  /**
   * Fetches them side by side; `fetches` hears of it when some are elsewhere, and what it answers is called when they are
   * here. Throws what reading the database throws, and ComposerClosed.
   */
  gather(claim: Claim, fetches?: () => () => void): Promise<Gathered>;
  /** Whoever is being waited for is not. */
  stop(): void;
  close(): Promise<void>;
};

export type AttachmentsOptions = {
  contents: Store["queue"]["contents"];
  sources: Store["tenants"]["sources"];
  settings: FetchSettings;
  /** The thread failed while it had nothing to do. */
  onError(error: unknown): void;
};

type Failed = Extract<FetchAnswer, { ok: false }>;
type How = "fetched" | "cached";
type Fetched = { ok: true; bytes: Uint8Array | CachedFile; how: How } | Failed;
type Opened = { ok: true; bytes: Uint8Array | OpenFile } | Failed;

const NONE: Gathered = { ok: true, attached: [], counts: [], release: async () => {} };
/** Files are fetched side by side by one thread, which waits most of the time. */
const TASKS_AT_ONCE = 10_000;
/** Of all messages together: connections need descriptors too. */
const OPEN_FILES = 500;

/** The bytes of messages' attachments, from wherever they are. */
export function createAttachments({ contents, sources, settings, onError }: AttachmentsOptions): Attachments {
  const stopping = new AbortController();
  const openFiles = createRoom(OPEN_FILES);
  let pool: Piscina | null = null;

  async function gather(claim: Claim, fetches?: () => () => void): Promise<Gathered> {
    const wanted = draftAttachments(claim.payload);
    if (wanted.length === 0) return NONE;
    const inline = wanted.some(isInline) ? await contents(claim.messageKey) : [];
    const context = await contextOf(claim, wanted);
    const elsewhere = wanted.filter((one) => !isInline(one)).length;
    const arrived = elsewhere > 0 ? fetches?.() : undefined;
    try {
      const fetched = await unlessStopped(Promise.all(wanted.map((one) => bytesOf(one, inline, context))));
      const counts = wanted.map(({ source }, index) => countOf(source.kind, fetched[index]!));
      const failure = worstOf(fetched);
      if (failure !== undefined) return { ...failure, counts, release: NONE.release };
      const giveBack = elsewhere > 0 ? await unlessStopped(openFiles.take(elsewhere, stopping.signal)) : () => {};
      const opening = wanted.map((one, index) => openedFor(one, fetched[index]!, context));
      const opened = await unlessStopped(Promise.all(opening));
      const release = async () => {
        await closeAll(opened);
        giveBack();
      };
      return { ...(await ready(wanted, opened).catch((error) => failed(String(error)))), counts, release };
    } finally {
      arrived?.();
    }
  }

  /** The tenant is read where it matters, and once. */
  async function contextOf(claim: Claim, wanted: DraftAttachment[]): Promise<FetchContext> {
    const { tenant } = claim;
    const isNeeded = wanted.some(({ source }) => needsTenant(source, tenant));
    return { tenant, sources: isNeeded ? await sources(tenant) : null, sinceMs: sinceOf(claim) };
  }

  async function bytesOf(one: DraftAttachment, inline: Uint8Array[], context: FetchContext): Promise<Fetched> {
    const { source, filename } = one;
    const fetched =
      source.kind === "content" ? inlineBytes(inline[source.index]) : await bring({ ...one, source }, context);
    return named(filename, fetched);
  }

  function inlineBytes(bytes: Uint8Array | undefined): Fetched {
    if (bytes === undefined) return { ok: false, permanent: true, reason: "its content is not in the database" };
    const { maxBytes } = settings;
    if (bytes.length <= maxBytes) return { ok: true, bytes, how: "fetched" };
    return { ok: false, permanent: true, reason: tooManyBytes(bytes.length, maxBytes) };
  }

  async function bring(one: Elsewhere, context: FetchContext): Promise<Fetched> {
    const task = fetchTask(one, context);
    if (typeof task === "string") return { ok: false, permanent: true, reason: task };
    pool ??= openPool();
    try {
      const answer: FetchAnswer = await pool.run(task);
      return answer.ok ? { ok: true, bytes: answer.file, how: answer.how } : answer;
    } catch (error) {
      return failed(`the fetching thread ended: ${error}`);
    }
  }

  function openPool(): Piscina {
    const filename = new URL("./fetch.worker.ts", import.meta.url).href;
    const size = { minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: TASKS_AT_ONCE };
    return new Piscina({ filename, workerData: settings, recordTiming: false, ...size }).on("error", onError);
  }

  /** Fetched again where another message, another dispatcher or a person has replaced or removed the file in the meantime. */
  async function openedFor(one: DraftAttachment, fetched: Fetched, context: FetchContext): Promise<Opened> {
    const { source, filename } = one;
    if (!fetched.ok || fetched.bytes instanceof Uint8Array) return fetched as Opened;
    let file: Fetched = fetched;
    for (let tries = 0; file.ok && tries < REPLACED_AT_MOST; tries += 1) {
      const opened = await openedFile(file.bytes as CachedFile);
      if (opened !== null || source.kind === "content") return named(filename, opened ?? GONE);
      file = await bring({ ...one, source }, context);
    }
    return named(filename, file.ok ? GONE : file);
  }

  function unlessStopped<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const { signal } = stopping;
      const onStop = () => reject(new ComposerClosed("the dispatcher is stopping"));
      if (signal.aborted) onStop();
      signal.addEventListener("abort", onStop, { once: true });
      work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onStop));
    });
  }

  return {
    gather,
    stop: () => stopping.abort(),
    close: async () => await pool?.destroy(),
  };
}

/** Of a file without a validator, each message that is accepted meanwhile asks for its own, in the place of the one before. */
const REPLACED_AT_MOST = 10;

const GONE: Failed = failed("it was removed from the cache again and again");

function failed(reason: string): Failed {
  return { ok: false, permanent: false, reason };
}

function named<T extends Fetched | Opened>(filename: string, answer: T): T {
  return answer.ok ? answer : { ...answer, reason: `Attachment fetch failed: ${filename}: ${answer.reason}` };
}

function isInline({ source }: DraftAttachment): boolean {
  return source.kind === "content";
}

/** Null: it is there no more. */
async function openedFile(file: CachedFile): Promise<Opened | null> {
  try {
    const handle = await openCached(file);
    return handle === null ? null : { ok: true, bytes: { handle, offset: file.offset, bytes: file.bytes } };
  } catch (error) {
    return failed(`its file cannot be opened (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** A source may be as it was then, or later: when the message was accepted, or its own `deferred_ts` came. */
function sinceOf({ createdMs, payload }: Claim): number {
  return Math.max(createdMs, (payload.deferred_ts ?? 0) * 1000);
}

async function ready(
  wanted: DraftAttachment[],
  opened: Opened[],
): Promise<{ ok: true; attached: Attached[] } | Failed> {
  const failure = opened.find((one) => !one.ok);
  if (failure !== undefined) return failure;
  return { ok: true, attached: await Promise.all(wanted.map((one, index) => attach(one, opened[index]!))) };
}

function countOf(source: AttachmentCount["source"], fetched: Fetched): AttachmentCount {
  return { source, outcome: fetched.ok ? fetched.how : "failed" };
}

/** What can never succeed decides over what might; of the rest, whoever wants to be asked last. */
function worstOf(fetched: Fetched[]): Failed | undefined {
  const failed = fetched.filter((one) => !one.ok);
  const [latest] = failed.toSorted((a, b) => (b.retryAfterMs ?? 0) - (a.retryAfterMs ?? 0));
  return failed.find((one) => one.permanent) ?? latest;
}

/** A larger one travels as a file: looking at it, and holding it, would cost too much. */
const LARGEST_LINES = 1024 * 1024;

async function attach(one: DraftAttachment, opened: Opened): Promise<Attached> {
  const { bytes } = opened as Extract<Opened, { ok: true }>;
  const mayBeLines = isMessage(one) && lengthOf(bytes) <= LARGEST_LINES;
  const lines = mayBeLines ? asLines(await inMemory(bytes)) : null;
  return lines === null ? { as: "base64", part: { base64: bytes } } : { as: "7bit", part: lines };
}

async function inMemory(bytes: Uint8Array | OpenFile): Promise<Uint8Array> {
  if (bytes instanceof Uint8Array) return bytes;
  const { handle, offset, bytes: length } = bytes;
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
  if (bytesRead < length) throw new Error("an attachment's file has become shorter");
  return buffer;
}

/** What cannot be closed is of no more use in any case. */
async function closeAll(opened: Opened[]): Promise<void> {
  const files = opened.flatMap((one) => (one.ok && !(one.bytes instanceof Uint8Array) ? one.bytes : []));
  await Promise.allSettled(files.map(({ handle }) => handle.close()));
}
