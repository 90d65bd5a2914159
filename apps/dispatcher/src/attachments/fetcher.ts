import { createHash, type Hash } from "node:crypto";
import { tooManyBytes } from "@async-mail/domain/attachment";
import type { AttachmentCache, CachedEntry, CachedFile } from "./cache.ts";
import { isJsonName } from "./fetch-endpoint.ts";
import type { FetchTask, RemoteSource } from "./fetch-task.ts";
import { type Opened, SourceBroken, SourceRefused, type Validator } from "./remote-source.ts";
import { createRoom, type Room } from "./room.ts";
import type { Slots } from "./slots.ts";

/** A value in either case: errors lose what they carry between threads. */
export type FetchAnswer =
  | { ok: true; file: CachedFile; how: "fetched" | "cached" }
  | { ok: false; permanent: boolean; reason: string; retryAfterMs?: number };

export type Fetcher = {
  /** One attachment's bytes, as they were when its message was allowed to go or later. Never throws. */
  bring(task: FetchTask): Promise<FetchAnswer>;
};

export type FetcherOptions = {
  cache: Pick<AttachmentCache, "find" | "confirm" | "store">;
  /** Why it may not be fetched, kept or not; null: it may. */
  refusal(source: RemoteSource): string | null;
  open(task: FetchTask, known: Validator | null, signal: AbortSignal): Promise<Opened>;
  /** Where the buckets are; part of what a kept file is known by. */
  s3Endpoint: string | null;
  /** Of one attachment. */
  maxBytes: number;
  /** Total time of one fetch; and how long one may wait for its turn before it. */
  timeoutMs: number;
  /** Taken by host. */
  slots: Slots;
  /** Taken by tenant. */
  tenantSlots: Slots;
  /** For the bytes that are announced and have not come yet. */
  room: Room;
  /** Wall ms. */
  now(): number;
};

/** Each has a file open for a moment. */
const LOOKS_AT_ONCE = 32;
const NEVER = new AbortController().signal;
/** Most files whose length is not told are small. */
const UNDECLARED_BYTES = 1024 * 1024;

export function createFetcher(options: FetcherOptions): Fetcher {
  const { cache, now } = options;
  const looking = createRoom(LOOKS_AT_ONCE);
  /** What is being fetched serves all who want it, unless they were accepted after it was asked for. */
  const underWay = new Map<string, { begunMs: number; answer: Promise<FetchAnswer> }>();

  async function bring(task: FetchTask): Promise<FetchAnswer> {
    const { tenant, source, sinceMs, md5 } = task;
    const refusal = options.refusal(source);
    if (refusal !== null) return { ok: false, permanent: true, reason: refusal };
    // Whatever its source may have by now, these are the bytes that are wanted.
    const same = md5 === null ? null : await found(keyOfMd5(tenant, md5));
    if (same !== null) return cached(same);
    const key = keyOf(task, options.s3Endpoint);
    const entry = await found(key);
    const running = underWay.get(key);
    if (running !== undefined && running.begunMs >= sinceMs) return asCached(await running.answer);
    if (entry !== null && isFresh(source, entry, sinceMs)) return cached(entry);
    const begunMs = now();
    const answer = fetchAnew(options, { task, key, entry, begunMs });
    underWay.set(key, { begunMs, answer });
    try {
      return await answer;
    } finally {
      if (underWay.get(key)?.answer === answer) underWay.delete(key);
    }
  }

  /** What cannot be read is fetched, and storing it tells what is wrong. */
  async function found(key: string): Promise<CachedEntry | null> {
    const leave = await looking.take(1, NEVER);
    return await cache
      .find(key, now())
      .catch(() => null)
      .finally(leave);
  }

  function isFresh(source: RemoteSource, entry: CachedEntry, sinceMs: number): boolean {
    if (entry.askedMs > now()) return false; // the clock was set back: nobody knows
    // A version of an object never changes.
    return entry.askedMs >= sinceMs || (source.kind === "s3" && source.versionId !== null);
  }

  return { bring };
}

type Transfer = { task: FetchTask; key: string; entry: CachedEntry | null; begunMs: number };

async function fetchAnew(options: FetcherOptions, wanted: Transfer): Promise<FetchAnswer> {
  const { timeoutMs } = options;
  const host = hostOf(wanted.task.source);
  let leave = () => {};
  try {
    leave = await placeFor(options, wanted.task.tenant, host, AbortSignal.timeout(timeoutMs));
  } catch {
    return later(`its turn did not come within ${timeoutMs / 1000} s, too much is being fetched from there`);
  }
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    return await transfer(options, wanted, limit);
  } catch (error) {
    if (limit.aborted) return later(`not done within ${timeoutMs / 1000} s`);
    if (error instanceof SourceRefused) return { ok: false, permanent: true, reason: error.message };
    if (error instanceof SourceBroken) return later(error.message);
    return later(`it could not be kept on disk (${(error as NodeJS.ErrnoException).code ?? error})`);
  } finally {
    leave();
  }
}

/** First one of its tenant's own, which are half of all: however much one wants, others get on. */
async function placeFor(
  { slots, tenantSlots }: FetcherOptions,
  tenant: string,
  host: string,
  signal: AbortSignal,
): Promise<() => void> {
  const leaveTenants = await tenantSlots.take(tenant, signal);
  try {
    const leave = await slots.take(`${tenant} ${host}`, signal);
    return () => {
      leave();
      leaveTenants();
    };
  } catch (error) {
    leaveTenants();
    throw error;
  }
}

async function transfer(options: FetcherOptions, wanted: Transfer, limit: AbortSignal): Promise<FetchAnswer> {
  const { cache, maxBytes, room } = options;
  const { task, key, entry, begunMs } = wanted;
  const opened = await options.open(task, entry?.validator ?? null, limit);
  if (opened.kind === "failed") {
    if (limit.aborted) throw limit.reason;
    const { kind: _, ...failure } = opened;
    return { ok: false, ...failure };
  }
  if (opened.kind === "unchanged") {
    if (entry === null) return later("its server says that it is unchanged, and was not asked");
    await cache.confirm(entry, begunMs);
    return cached(entry);
  }
  const { body, declaredBytes, validator } = opened;
  const reader = body[Symbol.asyncIterator]();
  if (declaredBytes !== null && declaredBytes > maxBytes) {
    await reader.return?.();
    throw new SourceRefused(tooManyBytes(declaredBytes, maxBytes));
  }
  const expectedBytes = declaredBytes ?? UNDECLARED_BYTES;
  let leave = () => {};
  try {
    leave = await room.take(expectedBytes, limit);
    const digest = task.md5 === null ? null : createHash("md5");
    const alsoKey = digest === null ? undefined : () => keyOfMd5(task.tenant, digest.digest("hex"));
    const head = { validator, askedMs: begunMs, expectedBytes, alsoKey };
    const file = await cache.store(key, head, bounded(reader, maxBytes, digest));
    return { ok: true, file, how: "fetched" };
  } finally {
    leave();
    await reader.return?.();
  }
}

/** Counts what comes: servers lie about lengths, and a small answer may unpack to a large one. */
async function* bounded(
  reader: AsyncIterator<Uint8Array>,
  maxBytes: number,
  digest: Hash | null,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for (let next = await reader.next(); !next.done; next = await reader.next()) {
    bytes += next.value.length;
    if (bytes > maxBytes) throw new SourceRefused(tooManyBytes(null, maxBytes));
    digest?.update(next.value);
    yield next.value;
  }
}

function later(reason: string): FetchAnswer {
  return { ok: false, permanent: false, reason };
}

function cached({ path, id, offset, bytes }: CachedEntry): FetchAnswer {
  return { ok: true, file: { path, id, offset, bytes }, how: "cached" };
}

function asCached(answer: FetchAnswer): FetchAnswer {
  return answer.ok ? { ...answer, how: "cached" } : answer;
}

/** What was kept with one login is not for another; nor what may be an error's text for a name that excludes one. */
function keyOf({ tenant, name, source }: FetchTask, s3Endpoint: string | null): string {
  const { kind } = source;
  if (kind === "url") return JSON.stringify([kind, tenant, source.authorization, source.url.replace(/#.*$/s, "")]);
  if (kind === "s3") return JSON.stringify([kind, tenant, s3Endpoint, source.bucket, source.key, source.versionId]);
  return JSON.stringify([kind, tenant, source.authorization, source.url, source.path, isJsonName(name)]);
}

/** Of a file with that digest, from wherever it was fetched. */
function keyOfMd5(tenant: string, md5: string): string {
  return JSON.stringify(["md5", tenant, md5]);
}

function hostOf(source: RemoteSource): string {
  return source.kind === "s3" ? `s3 ${source.bucket}` : (URL.parse(source.url)?.host ?? "");
}
