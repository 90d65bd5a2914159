/**
 * `npm run rotate-key`: encrypts the secrets in the database with another key, while the processes run. Imports by path,
 * since an installation without development dependencies knows our packages here by no other name.
 */
import { existsSync } from "node:fs";
import { openStore } from "../libs/db/src/sqlite/open.ts";
import type { Rotation } from "../libs/db/src/store.ts";
import { bootReading } from "../libs/runtime/src/clock.ts";
import { type Config, commandConfig } from "../libs/runtime/src/config.ts";
import { type KeyRing, startKeys } from "../libs/runtime/src/key-ring.ts";
import { isOperatorsFault } from "../libs/runtime/src/shutdown.ts";

/** What cannot be done as things are; nothing was. */
class Refused extends Error {}

const config = commandConfig("rotate-key");
try {
  await rotateKey(config);
} catch (error) {
  if (!(error instanceof Refused || isOperatorsFault(error))) throw error;
  console.error(`rotate-key: ${error.message}`);
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
    tell(dbPath, keys, before, await store.rotateKey());
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

function tell(dbPath: string, keys: KeyRing, before: string[], { keyId, resealed, unopened, scrubbed }: Rotation) {
  const old = before.filter((id) => id !== keyId);
  const lines = [
    `The secrets in ${dbPath} are encrypted with the key ${keyId} now (${resealed} encrypted anew).`,
    keys.configured
      ? `Once all processes were started again without it, the old key (${old.join(", ")}) is no longer needed: remove it from storage.encryption_key (ENCRYPTION_KEY).`
      : `It is kept in ${keys.file}, alone: keep a copy of that file in another place.`,
    `A backup of the database from before can only be read with the old key (${old.join(", ")}): keep that with the backup.`,
    scrubbed
      ? "The file was written anew: nothing that the old key had encrypted is left in it."
      : "What the old key had encrypted may still stand in unused parts of the file, since others were reading it: the reporter writes it anew by itself.",
  ];
  if (unopened > 0)
    lines.push(
      `${unopened} secrets were left as they are, since they were changed in the file and no key opens them: set those passwords and logins again.`,
    );
  console.log(lines.join("\n"));
}
