import { resolve } from "node:path";
import { keyWantedBy, refuseWhileOpen, restoreFile } from "@async-mail/db/sqlite/backup";
import { inspectFile } from "@async-mail/db/sqlite/inspect";
import { openStore } from "@async-mail/db/sqlite/open";
import { StorageBusy } from "@async-mail/db/store";
import { bootReading, isoTime } from "@async-mail/runtime/clock";
import type { Config } from "@async-mail/runtime/config";
import type { Argv } from "yargs";
import type { Deps, Global } from "./deps.ts";
import { Refused } from "./faults.ts";
import { keysOf } from "./keys.ts";
import { print } from "./print.ts";
import { progressBar } from "./progress.ts";
import { onTheFile } from "./storage-fault.ts";

/** A backup into the place of the database. */
export function restoreCommand(yargs: Argv<Global>, deps: Deps): Argv<Global> {
  return yargs.command(
    "restore <file>",
    "On this machine, while no process runs: put a backup in the place of the database, which is kept aside",
    (one) => one.positional("file", { type: "string", demandOption: true, describe: "Made by `mailctl backup`" }),
    async (args) => {
      const { storage, sandbox } = deps.configuration().config;
      const backup = resolve(args.file);
      if (backup === storage.dbPath) throw new Refused(`${backup} is the database itself`);
      await refuseWhileAlive(deps, storage);
      await onTheFile(() => refuseWithoutKey(deps, storage, backup));
      const bar = progressBar(deps, "copying");
      const aside = `${storage.dbPath}.before-restore-${isoTime(deps.now().wallMs).replaceAll(/[-:]|\.\d+/g, "")}`;
      const kept = await onTheFile(() => restoreFile(backup, storage.dbPath, aside, bar.move)).finally(bar.stop);
      await onTheFile(() => strikeOffAll(deps, storage, sandbox));
      print(deps, args, { ok: true, database: storage.dbPath, kept }, () => restoredText(storage.dbPath, kept));
    },
  );
}

function restoredText(dbPath: string, kept: string[]): string {
  const before = kept.length === 0 ? "There was none before." : `What was there before: ${kept.join(", ")}`;
  return [
    `${dbPath} is the backup now, checked. ${before}`,
    "What was sent after the backup is sent again, and what was accepted after it is not in it. Start the processes.",
  ].join("\n");
}

async function refuseWhileAlive(deps: Deps, storage: Config["storage"]): Promise<void> {
  try {
    await onTheFile(() => refuseWhileOpen(storage.dbPath));
  } catch (error) {
    if (!(error instanceof Refused) || !(error.cause instanceof StorageBusy)) throw error;
    throw new Refused(`${error.message}${await whoLives(deps, storage)}: stop all processes first`);
  }
}

/** For people; that the file is open is sure without it. */
async function whoLives(deps: Deps, storage: Config["storage"]): Promise<string> {
  try {
    const file = await inspectFile(storage.dbPath, keysOf(deps, storage));
    const rows = await file.store.processes.list();
    file.close();
    return rows.length === 0 ? "" : ` (${rows.map(({ kind, pid }) => `${kind} ${pid}`).join(", ")})`;
  } catch {
    return "";
  }
}

/**
 * Opens it as the processes do, so that what they would refuse is known now; and those that ran when the backup was made
 * are gone for sure: what they had claimed need not wait until it has been seen that they are.
 */
async function strikeOffAll(deps: Deps, storage: Config["storage"], sandbox: boolean): Promise<void> {
  const { dbPath: path, synchronous } = storage;
  const store = await openStore({ path, synchronous, sandbox, keys: keysOf(deps, storage), boot: bootReading() });
  try {
    for (const { process, beat } of await store.processes.list())
      await store.processes.strikeOff(process, beat, deps.nowAt(store.steadyOffsetMs));
  } finally {
    await store.close();
  }
}

function refuseWithoutKey(deps: Deps, storage: Config["storage"], backup: string): void {
  const wanted = keyWantedBy(backup);
  const keys = keysOf(deps, storage);
  if (wanted === null || keys.find(wanted) !== null) return;
  throw new Refused(
    `the secrets in ${backup} are encrypted with the key ${wanted}, which is neither in ${keys.file} nor in storage.encryption_key: put it there first, or no process will start`,
  );
}
