import { createHash, randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, statfs, utimes } from "node:fs/promises";
import { join } from "node:path";
import { SourceBroken, type Validator } from "./remote-source.ts";

/** Where the bytes of a fetched attachment are, for as long as the file at `path` is the one with that `id`. */
export type CachedFile = { path: string; id: string; offset: number; bytes: number };

export type CachedEntry = CachedFile & {
  validator: Validator | null;
  /** Wall ms at which the request began that brought these bytes, or confirmed them. */
  askedMs: number;
};

/** Fetched attachments, one file for each source, in a folder that any number of dispatchers share. */
export type AttachmentCache = {
  find(key: string): Promise<CachedEntry | null>;
  /** The source was asked at `askedMs`, and is still the same. */
  confirm(entry: CachedEntry, askedMs: number): Promise<void>;
  /** Throws what `body` throws, and SourceBroken where the disk has no room. */
  store(
    key: string,
    head: Pick<CachedEntry, "validator" | "askedMs">,
    body: AsyncIterable<Uint8Array>,
  ): Promise<CachedFile>;
  /** Removes what is too old, and the oldest of what is too much. Whoever reads one of these files reads on. */
  sweep(nowMs: number): Promise<void>;
};

export type CacheOptions = {
  folder: string;
  /** Of this boot: files are not synced, so that what is older may be half written. */
  bootId: string;
  maxBytes: number;
  maxAgeMs: number;
};

/** Before the bytes of an entry stands one line of JSON. */
type Head = { id: string; boot: string; validator: Validator | null };

const LONGEST_HEAD = 4096;
const ENTRY = /^[0-9a-f]{64}$/;
const PART = /^[0-9a-f]{64}\.[0-9a-f-]{36}\.part$/;
/** No fetch takes so long: whoever was writing it is gone. */
const DEAD_PART_MS = 2 * 3600 * 1000;
/** Left free on the disk, which is the database's too and has a reserve of its own: so much, or this part of a small one. */
const RESERVE_BYTES = 64 * 1024 * 1024;
const RESERVE_SHARE = 0.25;
/** When so much of what it may hold was added, it is swept. */
const SWEEP_SHARE = 0.1;

export function createAttachmentCache({ folder, bootId, maxBytes, maxAgeMs }: CacheOptions): AttachmentCache {
  let unswept = 0;
  const pathOf = (key: string) => join(folder, createHash("sha256").update(key).digest("hex"));

  async function find(key: string): Promise<CachedEntry | null> {
    const found = await openEntry(pathOf(key));
    await found?.handle.close();
    return found === null || found.boot !== bootId ? null : found.entry;
  }

  async function store(
    key: string,
    { validator, askedMs }: Pick<CachedEntry, "validator" | "askedMs">,
    body: AsyncIterable<Uint8Array>,
  ): Promise<CachedFile> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = pathOf(key);
    const id = randomUUID();
    const part = `${path}.${id}.part`;
    const head = Buffer.from(`${JSON.stringify({ id, boot: bootId, validator } satisfies Head)}\n`);
    try {
      await mustHaveRoom();
      if (unswept > maxBytes * SWEEP_SHARE) await sweep(askedMs);
      const bytes = await write(part, head, body);
      await utimes(part, askedMs / 1000, askedMs / 1000);
      await rename(part, path);
      unswept += bytes;
      return { path, id, offset: head.length, bytes };
    } catch (error) {
      await rm(part, { force: true });
      throw (error as NodeJS.ErrnoException).code === "ENOSPC" ? noRoom() : error;
    }
  }

  async function mustHaveRoom(): Promise<void> {
    const { bavail, blocks, bsize } = await statfs(folder);
    if (bavail * bsize < Math.min(RESERVE_BYTES, blocks * bsize * RESERVE_SHARE)) throw noRoom();
  }

  async function sweep(nowMs: number): Promise<void> {
    unswept = 0;
    const kept = [];
    for (const name of await namesIn(folder)) {
      const path = join(folder, name);
      const found = ENTRY.test(name) || PART.test(name) ? await stat(path).catch(() => null) : null;
      if (found === null) continue;
      const ageMs = Math.abs(nowMs - found.mtimeMs); // in the future: the clock was set back since
      if (ageMs > (PART.test(name) ? DEAD_PART_MS : maxAgeMs)) await rm(path, { force: true });
      else kept.push({ path, bytes: found.size, atMs: found.mtimeMs });
    }
    let total = kept.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { path, bytes } of kept.sort((a, b) => a.atMs - b.atMs)) {
      if (total <= maxBytes) return;
      await rm(path, { force: true });
      total -= bytes;
    }
  }

  return {
    find,
    store,
    sweep,
    confirm: async (entry, askedMs) => {
      // Whoever removed or replaced it meanwhile was free to: it is fetched again when it is opened in vain.
      const handle = await openCached(entry);
      await handle?.utimes(askedMs / 1000, askedMs / 1000);
      await handle?.close();
    },
  };
}

/** The file itself; null: it is there no more, or is another one by now. Throws what opening throws otherwise. */
export async function openCached({ path, id }: CachedFile): Promise<FileHandle | null> {
  const found = await openEntry(path);
  if (found === null) return null;
  if (found.entry.id === id) return found.handle;
  await found.handle.close();
  return null;
}

/** Null: nothing is there, or none of ours, which is fetched and written over. */
async function openEntry(path: string): Promise<{ handle: FileHandle; boot: string; entry: CachedEntry } | null> {
  const handle = await open(path).catch((error) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw error;
  });
  if (handle === null) return null;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(LONGEST_HEAD), 0, LONGEST_HEAD, 0);
    const end = buffer.subarray(0, bytesRead).indexOf("\n");
    const { size, mtimeMs } = await handle.stat();
    const { id, boot, validator } = JSON.parse(buffer.toString("utf8", 0, end)) as Head;
    const offset = end + 1;
    return { handle, boot, entry: { path, id, offset, bytes: size - offset, validator, askedMs: Math.round(mtimeMs) } };
  } catch {
    await handle.close();
    return null;
  }
}

async function write(path: string, head: Uint8Array, body: AsyncIterable<Uint8Array>): Promise<number> {
  const handle = await open(path, "wx", 0o600);
  try {
    await handle.writeFile(head);
    let bytes = 0;
    for await (const piece of body) {
      await handle.writeFile(piece);
      bytes += piece.length;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []); // nothing was fetched yet
}

function noRoom(): SourceBroken {
  return new SourceBroken("the disk has no room for it");
}
