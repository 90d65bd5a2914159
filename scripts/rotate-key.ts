/**
 * `npm run rotate-key`: encrypts the secrets in the database with another key, while the processes run. Imports by path,
 * since an installation without development dependencies knows our packages here by no other name.
 */
import { existsSync } from "node:fs";
import { openStore } from "../libs/db/src/sqlite/open.ts";
import { type Rotation, StorageBusy, StorageRefused, StorageUnavailable } from "../libs/db/src/store.ts";
import { bootReading } from "../libs/runtime/src/clock.ts";
import { type Config, commandConfig } from "../libs/runtime/src/config.ts";
import { KeyFileError } from "../libs/runtime/src/key-file.ts";
import { type KeyRing, startKeys } from "../libs/runtime/src/key-ring.ts";

/** What cannot be done as things are; nothing was. */
class Refused extends Error {}

/** Their sentence says all that an operator needs. */
const OPERATORS_FAULTS = [Refused, KeyFileError, StorageRefused, StorageUnavailable, StorageBusy];

const config = commandConfig("rotate-key");
try {
  await rotateKey(config);
} catch (error) {
  if (!OPERATORS_FAULTS.some((fault) => error instanceof fault)) throw error;
  console.error(`rotate-key: ${(error as Error).message}`);
  process.exitCode = 1;
}

async function rotateKey({ storage, sandbox }: Config): Promise<void> {
  const { dbPath, synchronous } = storage;
  // Opening would make one.
  if (!existsSync(dbPath)) throw new Refused(`storage.db_path: ${dbPath} is not there: nothing is encrypted yet`);
  const keys = startKeys(storage, {
    keyMade: ({ file }) => console.log(`Made an encryption key, kept in ${file}.`),
  });
  const store = await openStore({ path: dbPath, synchronous, sandbox, keys, boot: bootReading() });
  try {
    const before = keys.ids();
    refuseUnlessAnother(keys, before);
    tell(storage, keys, before, await store.rotateKey());
  } finally {
    await store.close();
  }
}

/** What opened with one key alone is encrypted with that one. */
function refuseUnlessAnother({ configured }: KeyRing, ids: string[]): void {
  if (!configured || ids.length > 1) return;
  throw new Refused(
    `nothing to be done: the configured key, ${ids[0]}, is the one in use. To replace it, start all processes with ENCRYPTION_KEY=NEW,OLD (storage.encryption_key), then run this again`,
  );
}

function tell(
  { dbPath, encryptionKey }: Config["storage"],
  { file }: KeyRing,
  before: string[],
  { keyId, resealed, unopened, scrubbed }: Rotation,
): void {
  const old = before.filter((id) => id !== keyId).join(", ");
  const lines = [
    `The secrets in ${dbPath} are encrypted with the key ${keyId} now (${resealed} encrypted anew).`,
    whereKept(encryptionKey, file, old),
    `A backup of the database from before can only be read with the old key (${old}): keep that with the backup.`,
    scrubbed
      ? "The file was written anew: nothing that the old key had encrypted is left in it."
      : "What the old key had encrypted may still stand in unused parts of the file, since others were reading it, or the disk has no room for it twice: the reporter writes it anew by itself once it can.",
  ];
  if (unopened > 0)
    lines.push(
      `${unopened} of them were left as they were, since they were changed in the file and no key opens them: set those passwords and logins again.`,
    );
  console.log(lines.join("\n"));
}

function whereKept(configured: readonly string[] | null, file: string, old: string): string {
  if (configured === null) return `It is kept in ${file}, alone: keep a copy of that file in another place.`;
  if (configured.length === 1) return `It is the configured one; ${file}, with the old key in it, was removed.`;
  return `The old key (${old}) may be removed from the configuration now (storage.encryption_key, ENCRYPTION_KEY).`;
}
