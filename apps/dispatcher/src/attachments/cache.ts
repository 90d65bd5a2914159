import { createHash, randomUUID } from "node:crypto";
import { constants, type FileHandle, link, mkdir, open, readdir, rename, rm, stat, statfs } from "node:fs/promises";
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
  /** An entry that is found counts as used at `nowMs` (wall). */
  find(key: string, nowMs: number): Promise<CachedEntry | null>;
  /** The source was asked at `askedMs`, and is still the same. */
  confirm(entry: CachedEntry, askedMs: number): Promise<void>;
  /** Throws what `body` throws, and SourceBroken where the disk has no room. */
  store(key: string, head: NewEntry, body: AsyncIterable<Uint8Array>): Promise<CachedFile>;
  /**
   * Removes what was not used for too long, and the longest unused of what is too much; whoever reads one of these
   * files reads on. `lacking`: of the disk's room, more has to go for that. Answers why some could not be removed;
   * null: all were.
   */
  sweep(nowMs: number, lacking?: number): Promise<string | null>;
};

export type NewEntry = Pick<CachedEntry, "validator" | "askedMs"> & {
  /** As far as that is known. */
  expectedBytes: number;
  /** Another key that finds it, asked for when all of it has come. */
  alsoKey?: () => string;
};

export type CacheOptions = {
  folder: string;
  /** Of this boot: files are not synced, so that what is older may be half written. */
  bootId: string;
  maxBytes: number;
  maxAgeMs: number;
};

/** Before the bytes of an entry stands one line of JSON. */
type Head = {
  id: string;
  boot: string;
  validator: Validator | null;
  /** Of what follows, with leading zeros: it is filled in when all has come, and must not change the line's length. */
  bytes: string;
};

const LONGEST_HEAD = 4096;
const BYTES_DIGITS = 15;
const ENTRY = /^[0-9a-f]{64}$/;
const PART = /^[0-9a-f]{64}\.[0-9a-f-]{36}\.part$/;
/** No fetch takes so long: whoever was writing it is gone. */
const DEAD_PART_MS = 2 * 3600 * 1000;
/** Left free on the disk, which is the database's too and has a reserve of its own: so much, or this part of a small one. */
const RESERVE_BYTES = 64 * 1024 * 1024;
const RESERVE_SHARE = 0.25;
/** Others write to the same disk: how much is left is looked at again after so much. */
const LOOK_BYTES = 4 * 1024 * 1024;
/** When so much of what it may hold was added, it is swept. */
const SWEEP_SHARE = 0.1;

export function createAttachmentCache({ folder, bootId, maxBytes, maxAgeMs }: CacheOptions): AttachmentCache {
  let unswept = 0;
  /** Expected of what is being stored, and not there yet. */
  let coming = 0;
  const pathOf = (key: string) => join(folder, createHash("sha256").update(key).digest("hex"));

  async function find(key: string, nowMs: number): Promise<CachedEntry | null> {
    const found = await openEntry(pathOf(key));
    if (found === null) return null;
    try {
      if (found.boot !== bootId) return null;
      await touch(found.handle, nowMs, found.entry.askedMs);
      return found.entry;
    } finally {
      await found.handle.close();
    }
  }

  async function store(key: string, entry: NewEntry, body: AsyncIterable<Uint8Array>): Promise<CachedFile> {
    const { validator, askedMs, expectedBytes, alsoKey } = entry;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if (unswept > maxBytes * SWEEP_SHARE) await sweep(askedMs);
    const path = pathOf(key);
    const id = randomUUID();
    const part = `${path}.${id}.part`;
    const headOf = (bytes: number) =>
      headLine({ id, boot: bootId, validator, bytes: String(bytes).padStart(BYTES_DIGITS, "0") });
    let missing = await admitted(expectedBytes, askedMs);
    const arrived = async (bytes: number) => {
      const expected = Math.min(bytes, missing);
      missing -= expected;
      coming -= expected;
      if ((await freeBytes()) < 0) throw noRoom();
    };
    try {
      const bytes = await write(part, headOf, body, askedMs, arrived);
      // Before others can replace it under the first key: a key of its contents must never lead to other ones.
      if (alsoKey !== undefined) await nameToo(part, pathOf(alsoKey()), id);
      await rename(part, path);
      unswept += bytes;
      return { path, id, offset: headOf(bytes).length, bytes };
    } catch (error) {
      await rm(part, { force: true });
      throw (error as NodeJS.ErrnoException).code === "ENOSPC" ? noRoom() : error;
    } finally {
      coming -= missing;
    }
  }

  /** Beside all that is coming already; what is kept goes for it. Answers it; throws SourceBroken. */
  async function admitted(bytes: number, nowMs: number): Promise<number> {
    const lacking = coming + bytes - (await freeBytes());
    if (lacking > 0) await sweep(nowMs, lacking);
    if ((await freeBytes()) < coming + bytes) throw noRoom();
    coming += bytes;
    return bytes;
  }

  /** Above the reserve. */
  async function freeBytes(): Promise<number> {
    const { bavail, blocks, bsize } = await statfs(folder);
    return bavail * bsize - Math.min(RESERVE_BYTES, blocks * bsize * RESERVE_SHARE);
  }

  async function sweep(nowMs: number, lacking = 0): Promise<string | null> {
    unswept = 0;
    const { entries, parts } = await filesIn(folder);
    // In the future: the clock was set back since.
    const isOlder = (one: Kept, ms: number) => Math.abs(nowMs - one.usedMs) > ms;
    const doomed = [
      ...parts.filter((one) => isOlder(one, DEAD_PART_MS)),
      ...entries.filter((one) => isOlder(one, maxAgeMs)),
    ];
    const left = entries.filter((one) => !doomed.includes(one)).sort((a, b) => a.usedMs - b.usedMs);
    const total = [...left, ...parts].reduce((sum, { bytes }) => sum + bytes, 0);
    let excess = Math.max(total - maxBytes, lacking);
    for (const one of left) {
      if (excess <= 0) break;
      doomed.push(one);
      excess -= one.bytes;
    }
    return await removeAll(doomed);
  }

  return {
    find,
    store,
    sweep,
    confirm: async (entry, askedMs) => {
      // Whoever removed or replaced it meanwhile was free to: it is fetched again when it is opened in vain.
      const handle = await openCached(entry);
      if (handle === null) return;
      await touch(handle, askedMs, askedMs).finally(() => handle.close());
    },
  };
}

/** Gives the file a second name. Where the disk knows no such names it is found by the first one alone. */
async function nameToo(file: string, path: string, id: string): Promise<void> {
  const part = `${path}.${id}.part`;
  try {
    await link(file, part);
    await rename(part, path);
  } catch {
    await rm(part, { force: true });
  }
}

/** One file, which may have two names: it takes its room once, and goes with both. */
type Kept = { paths: string[]; bytes: number; usedMs: number };

async function filesIn(folder: string): Promise<{ entries: Kept[]; parts: Kept[] }> {
  const found: { entries: Kept[]; parts: Kept[] } = { entries: [], parts: [] };
  const named = new Map<number, Kept>();
  const names = await readdir(folder).catch(() => []); // nothing was fetched yet
  for (const name of names) {
    const list = ENTRY.test(name) ? found.entries : PART.test(name) ? found.parts : null;
    const path = join(folder, name);
    const status = list === null ? null : await stat(path).catch(() => null);
    if (status === null) continue;
    const before = named.get(status.ino);
    if (before !== undefined) {
      before.paths.push(path);
      continue;
    }
    const one = { paths: [path], bytes: status.size, usedMs: Math.max(status.atimeMs, status.mtimeMs) };
    list?.push(one);
    if (list === found.entries && status.nlink > 1) named.set(status.ino, one);
  }
  return found;
}

async function removeAll(doomed: Kept[]): Promise<string | null> {
  let failure: string | null = null;
  for (const path of doomed.flatMap(({ paths }) => paths)) {
    await rm(path, { force: true }).catch((error) => {
      failure = String(error);
    });
  }
  return failure;
}

/** A file that is another user's is left as it is, and asked for again then. */
async function touch(handle: FileHandle, usedMs: number, askedMs: number): Promise<void> {
  await handle.utimes(usedMs / 1000, askedMs / 1000).catch(() => {});
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
  // Whatever else may stand there, a pipe say, is not waited for.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw error;
  });
  if (handle === null) return null;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(LONGEST_HEAD), 0, LONGEST_HEAD, 0);
    const end = buffer.subarray(0, bytesRead).indexOf("\n");
    const { size, mtimeMs } = await handle.stat();
    const { id, boot, validator, bytes } = JSON.parse(buffer.toString("utf8", 0, end)) as Head;
    const offset = end + 1;
    if (Number(bytes) !== size - offset) throw new Error("cut, or something was added");
    return { handle, boot, entry: { path, id, offset, bytes: size - offset, validator, askedMs: Math.round(mtimeMs) } };
  } catch {
    await handle.close();
    return null;
  }
}

async function write(
  path: string,
  headOf: (bytes: number) => Buffer,
  body: AsyncIterable<Uint8Array>,
  askedMs: number,
  arrived: (bytes: number) => Promise<void>,
): Promise<number> {
  const handle = await open(path, "wx", 0o600);
  try {
    await handle.writeFile(headOf(0));
    let bytes = 0;
    let unlooked = 0;
    for await (const piece of body) {
      await handle.writeFile(piece);
      bytes += piece.length;
      unlooked += piece.length;
      if (unlooked < LOOK_BYTES) continue;
      await arrived(unlooked);
      unlooked = 0;
    }
    const head = headOf(bytes);
    await handle.write(head, 0, head.length, 0);
    await handle.utimes(askedMs / 1000, askedMs / 1000);
    return bytes;
  } finally {
    await handle.close();
  }
}

function headLine(head: Head): Buffer {
  return Buffer.from(`${JSON.stringify(head)}\n`);
}

function noRoom(): SourceBroken {
  return new SourceBroken("the disk has no room for it");
}
