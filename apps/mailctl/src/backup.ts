import { resolve } from "node:path";
import { backupFile } from "@async-mail/db/sqlite/backup";
import type { Argv } from "yargs";
import type { Deps, Global } from "./deps.ts";
import { keysOf } from "./keys.ts";
import { print } from "./print.ts";
import { progressBar } from "./progress.ts";
import { onTheFile } from "./storage-fault.ts";

/** The database into one file, while everything runs. */
export function backupCommand(yargs: Argv<Global>, deps: Deps): Argv<Global> {
  return yargs.command(
    "backup <file>",
    "On this machine: copy the database, while everything runs, and check the copy",
    (one) => one.positional("file", { type: "string", demandOption: true, describe: "Where to; it must not be there" }),
    async (args) => {
      const { storage } = deps.configuration().config;
      const file = resolve(args.file);
      const bar = progressBar(deps, "copying");
      const bytes = await onTheFile(() => backupFile(storage.dbPath, file, bar.move)).finally(bar.stop);
      const keys = keysOf(deps, storage);
      const key = keys.configured ? "storage.encryption_key (ENCRYPTION_KEY)" : keys.file;
      print(deps, args, { ok: true, file, bytes, key }, () =>
        [
          `${file}: ${bytes} bytes, checked. It holds mail, and is readable for its owner alone.`,
          `The key of the passwords in it is not in it: that is ${key}. Keep a copy of it in another place.`,
        ].join("\n"),
      );
    },
  );
}
