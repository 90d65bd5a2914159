import { randomBytes } from "node:crypto";
import { type Key, keyOf } from "./encryption-key.ts";
import {
  KeyFileError,
  keyFile,
  makeKeyFile,
  NO_KEYS_KEPT,
  readKeyFile,
  removeKeyFile,
  replaceKeyFile,
  stampOfKeyFile,
  syncKeyFile,
} from "./key-file.ts";

/**
 * The keys of the secrets in the database, by their ids: those that are configured, else those of the file beside the
 * database, which other processes may change at any time. Synchronous, since it is asked inside transactions. Whatever
 * touches the file may throw a KeyFileError.
 */
export type KeyRing = {
  file: string;
  configured: boolean;
  /** Also of the file while keys are configured, so that what was sealed before they were can be opened. */
  find(id: string): Buffer | null;
  /** The key to seal with; null: there is none yet. */
  newest(): Key | null;
  /** All of them, the newest first. */
  ids(): string[];
  /** Others than the owner may read the file. */
  exposed(): boolean;
  /** The newest, made where there is none yet; once, however many processes do so, and on disk when it returns. */
  make(): Key;
  /** A new one before the others in the file. For one process at a time, as in a transaction that writes. */
  add(): Key;
  /** Takes keys out of the file, and removes it when none is left and others are configured. As `add`, for one at a time. */
  drop(ids: readonly string[]): void;
};

export type KeyRingOptions = {
  /** `storage.encryption_key`. */
  configured: readonly string[] | null;
  dbPath: string;
  /** 32 bytes. */
  randomKey(): Buffer;
};

/** For main.ts: the configuration's keys. What an operator should know of them is told to the log. */
export function startKeys(
  { encryptionKey, dbPath }: { encryptionKey: readonly string[] | null; dbPath: string },
  log: { keyMade(fields: { file: string }): void },
): KeyRing {
  const ring = createKeyRing({ configured: encryptionKey, dbPath, randomKey: () => randomBytes(32) });
  const make = () => {
    const isNew = ring.newest() === null;
    const made = ring.make();
    if (isNew) log.keyMade({ file: ring.file });
    return made;
  };
  return { ...ring, make };
}

export function createKeyRing({ configured, dbPath, randomKey }: KeyRingOptions): KeyRing {
  const file = keyFile(dbPath);
  const given = (configured ?? []).map((text) => keyOf(Buffer.from(text, "base64")));
  // Never forgotten while the process lives: a file that was deleted by mistake stops no mail.
  const known = new Map(given.map(({ id, key }) => [id, key]));
  let kept = NO_KEYS_KEPT;

  function refreshed(): Key[] {
    if (stampOfKeyFile(dbPath) !== kept.stamp) kept = readKeyFile(dbPath);
    for (const { id, key } of kept.keys) known.set(id, key);
    return kept.keys;
  }

  function find(id: string): Buffer | null {
    if (!known.has(id)) refreshed();
    return known.get(id) ?? null;
  }

  const newest = () => given[0] ?? refreshed()[0] ?? null;

  return {
    file,
    configured: given.length > 0,
    find,
    newest,
    ids: () => [...new Set([...given, ...refreshed()].map(({ id }) => id))],
    exposed() {
      refreshed();
      return kept.exposed;
    },
    make() {
      if (newest() === null) makeKeyFile(dbPath, keyOf(randomKey()));
      const made = newest();
      if (made === null) throw new KeyFileError(`${file} leads nowhere, wanted: a file, or a link to one`);
      if (given.length === 0) syncKeyFile(dbPath);
      return made;
    },
    add() {
      if (given.length > 0)
        throw new KeyFileError("storage.encryption_key is configured: the new key belongs there, before the old one");
      const before = refreshed();
      // With one made now, what was sealed before could be read by nobody.
      if (before.length === 0) throw new KeyFileError(`${file} is missing, wanted: the keys in use; restore it`);
      const added = keyOf(randomKey());
      replaceKeyFile(dbPath, [added, ...before]);
      return added;
    },
    drop(ids) {
      const before = refreshed();
      const [first, ...others] = before.filter(({ id }) => !ids.includes(id));
      if (first !== undefined) replaceKeyFile(dbPath, [first, ...others]);
      else if (given.length === 0) throw new KeyFileError(`${file} would be left without a key`);
      else if (before.length > 0) removeKeyFile(dbPath);
    },
  };
}
