import { existsSync } from "node:fs";
import { openStore } from "@async-mail/db/sqlite/open";
import type { Rotation } from "@async-mail/db/store";
import { bootReading } from "@async-mail/runtime/clock";
import type { Config } from "@async-mail/runtime/config";
import type { Argv } from "yargs";
import type { Deps, Global } from "./deps.ts";
import { Refused } from "./faults.ts";
import { keysOf } from "./keys.ts";
import { alone } from "./options.ts";
import { print } from "./print.ts";
import { onTheFile } from "./storage-fault.ts";

/** Another key for the secrets in the database. */
export function rotateKeyCommand(yargs: Argv<Global>, deps: Deps): Argv<Global> {
  return yargs.command(
    "rotate-key",
    "On this machine: encrypt the secrets in the database with a new key, while everything runs",
    alone,
    async (args) => {
      const { storage, sandbox } = deps.configuration().config;
      const { before, rotation } = await onTheFile(() => rotate(deps, storage, sandbox));
      const old = before.filter((id) => id !== rotation.keyId);
      print(deps, args, { ok: true, ...rotation, old }, () => rotatedText(storage, rotation, old.join(", ")));
    },
  );
}

async function rotate(deps: Deps, storage: Config["storage"], sandbox: boolean) {
  const { dbPath, synchronous } = storage;
  // Opening would make one.
  if (!existsSync(dbPath)) throw new Refused(`storage.db_path: ${dbPath} is not there: nothing is encrypted yet`);
  const keys = keysOf(deps, storage);
  const store = await openStore({ path: dbPath, synchronous, sandbox, keys, boot: bootReading() });
  try {
    const before = keys.ids();
    if (keys.configured && before.length === 1)
      throw new Refused(
        `nothing to be done: the configured key, ${before[0]}, is the one in use. To replace it, start all processes with ENCRYPTION_KEY=NEW,OLD (storage.encryption_key), then run this again`,
      );
    return { before, rotation: await store.rotateKey() };
  } finally {
    await store.close();
  }
}

function rotatedText({ dbPath, encryptionKey }: Config["storage"], rotation: Rotation, old: string): string {
  const { keyId, resealed, unopened, scrubbed } = rotation;
  const lines = [
    `The secrets in ${dbPath} are encrypted with the key ${keyId} now (${resealed} encrypted anew).`,
    whereKept(encryptionKey, `${dbPath}.key`, old),
    `A backup of the database from before can only be read with the old key (${old}): keep that with the backup.`,
    scrubbed
      ? "The file was written anew: nothing that the old key had encrypted is left in it."
      : "What the old key had encrypted may still stand in unused parts of the file, since others were reading it, or the disk has no room for it twice: the reporter writes it anew by itself once it can.",
  ];
  if (unopened > 0)
    lines.push(
      `${unopened} of them were left as they were, since they were changed in the file and no key opens them: set those passwords and logins again.`,
    );
  return lines.join("\n");
}

function whereKept(configured: readonly string[] | null, file: string, old: string): string {
  if (configured === null) return `It is kept in ${file}, alone: keep a copy of that file in another place.`;
  if (configured.length === 1) return `It is the configured one; ${file}, with the old key in it, was removed.`;
  return `The old key (${old}) may be removed from the configuration now (storage.encryption_key, ENCRYPTION_KEY).`;
}
