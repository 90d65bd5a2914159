import {
  closeSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { KEY_WANTED, type Key, readKeys, textOf } from "./encryption-key.ts";

/** The file of keys cannot be read or written, or holds something else; the message says what is wanted. */
export class KeyFileError extends Error {
  override name = "KeyFileError";
}

/** What stands in the file; `stamp` is another one as soon as the file is. */
export type KeysKept = { keys: Key[]; exposed: boolean; stamp: string | null };

export const NO_KEYS_KEPT: KeysKept = { keys: [], exposed: false, stamp: null };

/** Beside the database, so that it is found and kept with it. */
export function keyFile(dbPath: string): string {
  return `${dbPath}.key`;
}

// ---------------------------------------------------------------- reading

/** No keys where there is no file. */
export function readKeyFile(dbPath: string): KeysKept {
  const file = keyFile(dbPath);
  return explained(`${file} cannot be read`, () => {
    const opened = openIfThere(file);
    if (opened === null) return NO_KEYS_KEPT;
    try {
      const stat = fstatSync(opened, { bigint: true });
      const keys = keysIn(readFileSync(opened, "utf8"), file);
      return { keys, exposed: (stat.mode & 0o077n) !== 0n, stamp: stampOf(stat) };
    } finally {
      closeSync(opened);
    }
  });
}

/** Cheaper than reading it. */
export function stampOfKeyFile(dbPath: string): string | null {
  const file = keyFile(dbPath);
  const stat = explained(`${file} cannot be read`, () => statSync(file, { bigint: true, throwIfNoEntry: false }));
  return stat === undefined ? null : stampOf(stat);
}

function stampOf(stat: { ino: bigint; size: bigint; mode: bigint; mtimeNs: bigint; ctimeNs: bigint }): string {
  return [stat.ino, stat.size, stat.mode, stat.mtimeNs, stat.ctimeNs].join(" ");
}

function openIfThere(file: string): number | null {
  try {
    return openSync(file, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Nothing of what it holds may stand in the message. */
function keysIn(text: string, file: string): Key[] {
  const found = readKeys(text);
  const keys = found.filter((key) => key !== null);
  if (keys.length > 0 && keys.length === found.length) return keys;
  const fault =
    found.length === 0 ? "holds no key" : `is damaged: what stands at place ${found.indexOf(null) + 1} is no key`;
  throw new KeyFileError(
    `${file} ${fault}, wanted: a line of ${KEY_WANTED}; restore it from a backup: without its keys the secrets in the database cannot be read`,
  );
}

// ---------------------------------------------------------------- writing

/**
 * Several processes may do so at once: each writes a file of its own, and the first to link it under the name has made
 * the file of all. It is durable after `syncKeyFile`, which who came too late needs as well.
 */
export function makeKeyFile(dbPath: string, key: Key): void {
  const file = keyFile(dbPath);
  explained(`${file} cannot be made (where ENCRYPTION_KEY is set, none is needed)`, () => {
    const draft = draftOf(file, key);
    try {
      writeSynced(draft, textOfFile([key], dbPath), dbPath);
      linkUnlessThere(draft, file);
    } finally {
      rmSync(draft, { force: true });
    }
  });
}

/** Until then a power cut may take the name of a file whose bytes are on disk. */
export function syncKeyFile(dbPath: string): void {
  explained(`${keyFile(dbPath)} cannot be synced`, () => syncFolder(realpathSync(keyFile(dbPath))));
}

/** By rename: whoever reads meanwhile finds the old file or the new one. Not for two at once. */
export function replaceKeyFile(dbPath: string, keys: [Key, ...Key[]]): void {
  explained(`${keyFile(dbPath)} cannot be written`, () => {
    // Where it is a link, what it leads to is replaced.
    const file = realpathSync(keyFile(dbPath));
    removeDrafts(file);
    const draft = draftOf(file, keys[0]);
    try {
      writeSynced(draft, textOfFile(keys, dbPath), dbPath);
      renameSync(draft, file);
    } finally {
      rmSync(draft, { force: true });
    }
    syncFolder(file);
  });
}

export function removeKeyFile(dbPath: string): void {
  explained(`${keyFile(dbPath)} cannot be removed`, () => {
    const file = realpathSync(keyFile(dbPath));
    removeDrafts(file);
    rmSync(file);
    syncFolder(file);
  });
}

function draftOf(file: string, { id }: Key): string {
  return `${file}.${id}`;
}

/** Of processes that were killed while they wrote: keys stand in them, also such as shall be gone. */
function removeDrafts(file: string): void {
  const begin = `${basename(file)}.`;
  for (const name of readdirSync(dirname(file))) {
    if (name.startsWith(begin) && /^[0-9a-f]{8}$/.test(name.slice(begin.length)))
      rmSync(join(dirname(file), name), { force: true });
  }
}

function linkUnlessThere(draft: string, file: string): void {
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

function writeSynced(file: string, text: string, dbPath: string): void {
  const opened = openSync(file, "wx", 0o600);
  try {
    giveToOwnerOf(dbPath, opened);
    writeFileSync(opened, text);
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

/** As SQLite does with its log: a command that root runs must not take the file away from the service. */
function giveToOwnerOf(dbPath: string, opened: number): void {
  if (process.geteuid?.() !== 0) return;
  const owner = statSync(dbPath, { throwIfNoEntry: false });
  if (owner !== undefined && owner.uid !== 0) fchownSync(opened, owner.uid, owner.gid);
}

function syncFolder(file: string): void {
  const opened = openSync(dirname(file), "r");
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

function textOfFile(keys: Key[], dbPath: string): string {
  const lines = [
    `# The key of the secrets in ${basename(dbPath)}: passwords, tokens, addresses of attachments.`,
    "# Without this file those in a backup of the database are unreadable: keep a copy of it, in another place.",
    "# The first key seals, the others only open what was sealed before.",
    ...keys.map(textOf),
  ];
  return `${lines.join("\n")}\n`;
}

// ---------------------------------------------------------------- faults

/** Bugs pass as they are. */
function explained<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof Error) || !("syscall" in error)) throw error;
    throw new KeyFileError(`${what}: ${error.message}`, { cause: error });
  }
}
