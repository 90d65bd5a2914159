import type { Config } from "@async-mail/runtime/config";
import { createKeyRing, type KeyRing } from "@async-mail/runtime/key-ring";
import type { Deps } from "./deps.ts";

/** The keys of the secrets in the database, as the processes have them. */
export function keysOf(
  { randomKey }: Pick<Deps, "randomKey">,
  { encryptionKey, dbPath }: Pick<Config["storage"], "encryptionKey" | "dbPath">,
): KeyRing {
  return createKeyRing({ configured: encryptionKey, dbPath, randomKey });
}
