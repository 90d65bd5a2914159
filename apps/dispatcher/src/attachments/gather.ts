import type { Claim, Store } from "@async-mail/db/store";
import { type DraftAttachment, draftAttachments } from "@async-mail/domain/draft";
import { Piscina } from "piscina";
import type { AttachedAs } from "../compose.worker.ts";
import type { OpenFile, Part } from "../composed.ts";
import { ComposerClosed } from "../composer.ts";
import { openCached } from "./cache.ts";
import type { FetchSettings } from "./fetch.worker.ts";
import type { FetchAnswer, FetchTask } from "./fetcher.ts";
import { asLines, isMessage } from "./message-lines.ts";

export type AttachmentCount = {
  source: DraftAttachment["source"]["kind"];
  outcome: "fetched" | "cached" | "failed";
};

/** All attachments of a message, ready to be sent, or why it cannot go out. */
export type Gathered = Ready & {
  /** Once they are not needed any more; what they say is gone then. Never throws. */
  release(): Promise<void>;
};

type Ready = ({ ok: true; attached: Attached[] } | Failed) & { counts: AttachmentCount[] };

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
  settings: FetchSettings;
  /** The thread failed while it had nothing to do. */
  onError(error: unknown): void;
};

type Failed = Extract<FetchAnswer, { ok: false }>;
type Fetched = { ok: true; bytes: Uint8Array | OpenFile; how: "fetched" | "cached" } | Failed;

const NONE: Gathered = { ok: true, attached: [], counts: [], release: async () => {} };
/** Files are fetched side by side by one thread, which waits most of the time. */
const TASKS_AT_ONCE = 10_000;

/** The bytes of messages' attachments, from wherever they are. */
export function createAttachments({ contents, settings, onError }: AttachmentsOptions): Attachments {
  const stopping = new AbortController();
  let pool: Piscina | null = null;
  let messages = 0;

  async function gather(claim: Claim, fetches?: () => () => void): Promise<Gathered> {
    const wanted = draftAttachments(claim.payload);
    if (wanted.length === 0) return NONE;
    const message = ++messages;
    const hasContents = wanted.some(({ source }) => source.kind === "content");
    const isElsewhere = wanted.some(({ source }) => source.kind !== "content");
    const inline = hasContents ? await contents(claim.messageKey) : [];
    const arrived = isElsewhere ? fetches?.() : undefined;
    const all = Promise.all(wanted.map((one) => bytesOf(one, inline, { message, sinceMs: sinceOf(claim) })));
    const release = async () => {
      if (isElsewhere) giveBack(message);
      await closeAll(await all);
    };
    try {
      return { ...(await ready(wanted, await unlessStopped(all))), release };
    } catch (error) {
      void release();
      throw error;
    } finally {
      arrived?.();
    }
  }

  function giveBack(message: number): void {
    // A thread that ended holds nothing.
    pool?.run(message, { name: "release" }).catch(() => {});
  }

  async function bytesOf({ source, filename }: DraftAttachment, inline: Uint8Array[], wish: Wish): Promise<Fetched> {
    const answer = source.kind === "content" ? inlineBytes(inline[source.index]) : await fetchFile({ source, ...wish });
    return answer.ok ? answer : { ...answer, reason: `Attachment fetch failed: ${filename}: ${answer.reason}` };
  }

  function inlineBytes(bytes: Uint8Array | undefined): Fetched {
    if (bytes === undefined) return { ok: false, permanent: true, reason: "its content is not in the database" };
    const { maxBytes } = settings;
    const reason = `it has ${bytes.length} bytes, attachments.max_bytes allows at most ${maxBytes}`;
    return bytes.length > maxBytes ? { ok: false, permanent: true, reason } : { ok: true, bytes, how: "fetched" };
  }

  /** Once more where another dispatcher, or a person, has removed the file in the meantime. */
  async function fetchFile(task: FetchTask): Promise<Fetched> {
    return (await fetchOnce(task)) ?? (await fetchOnce(task)) ?? GONE;
  }

  async function fetchOnce(task: FetchTask): Promise<Fetched | null> {
    const answer = await run(task);
    if (!answer.ok) return answer;
    const { offset, bytes } = answer.file;
    try {
      const handle = await openCached(answer.file);
      return handle === null ? null : { ok: true, bytes: { handle, offset, bytes }, how: answer.how };
    } catch (error) {
      return {
        ok: false,
        permanent: false,
        reason: `its file cannot be opened (${(error as NodeJS.ErrnoException).code})`,
      };
    }
  }

  async function run(task: FetchTask): Promise<FetchAnswer> {
    pool ??= openPool();
    try {
      return await pool.run(task);
    } catch (error) {
      return { ok: false, permanent: false, reason: `the fetching thread ended: ${error}` };
    }
  }

  function openPool(): Piscina {
    const filename = new URL("./fetch.worker.ts", import.meta.url).href;
    const size = { minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: TASKS_AT_ONCE };
    return new Piscina({ filename, workerData: settings, recordTiming: false, ...size }).on("error", onError);
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

type Wish = Pick<FetchTask, "message" | "sinceMs">;

const GONE: Fetched = { ok: false, permanent: false, reason: "it was removed from the cache again and again" };

/** A source may be as it was then, or later: when the message was accepted, or its own `deferred_ts` came. */
function sinceOf({ createdMs, payload }: Claim): number {
  return Math.max(createdMs, (payload.deferred_ts ?? 0) * 1000);
}

async function ready(wanted: DraftAttachment[], fetched: Fetched[]): Promise<Ready> {
  const counts = wanted.map(({ source }, index) => countOf(source.kind, fetched[index]!));
  const failure = worstOf(fetched);
  if (failure !== undefined) return { ...failure, counts };
  const attached = await Promise.all(wanted.map((one, index) => attach(one, fetched[index]!)));
  return { ok: true, attached, counts };
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

async function attach(one: DraftAttachment, fetched: Fetched): Promise<Attached> {
  const { bytes } = fetched as Extract<Fetched, { ok: true }>;
  const lines = isMessage(one) ? asLines(await inMemory(bytes)) : null;
  return lines === null ? { as: "base64", part: { base64: bytes } } : { as: "7bit", part: lines };
}

async function inMemory(bytes: Uint8Array | OpenFile): Promise<Uint8Array> {
  if (bytes instanceof Uint8Array) return bytes;
  const { handle, offset, bytes: length } = bytes;
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
  if (bytesRead < length) throw new Error("an attachment's file has become shorter");
  return buffer;
}

async function closeAll(fetched: Fetched[]): Promise<void> {
  for (const one of fetched) if (one.ok && !(one.bytes instanceof Uint8Array)) await one.bytes.handle.close();
}
