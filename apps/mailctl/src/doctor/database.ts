import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { createDisk } from "@async-mail/db/sqlite/disk";
import { type Inspection, inspectFile } from "@async-mail/db/sqlite/inspect";
import { StorageUnavailable } from "@async-mail/db/store";
import type { Config } from "@async-mail/runtime/config";
import type { KeyRing } from "@async-mail/runtime/key-ring";
import { Refused } from "../faults.ts";
import { onTheFile } from "../storage-fault.ts";
import { configuredToken, madeTokenFile } from "../target.ts";
import { type Finding, note, ok, problem } from "./finding.ts";

/** A log of more is not being moved into the file. */
const LARGE_LOG_BYTES = 256 * 1024 * 1024;

/** The file itself, and those beside it. Nothing is written. Without an inspection, nothing in it can be looked at. */
export async function checkDatabase(
  config: Config,
  keys: KeyRing,
): Promise<{ file: Inspection | null; findings: Finding[] }> {
  const { dbPath } = config.storage;
  if (sizeOf(dbPath) === null) return { file: null, findings: [missing(dbPath)] };
  const beside = [...checkModes(dbPath), checkToken(config)];
  try {
    const file = await onTheFile(() => inspectFile(dbPath, keys));
    const own = [checkDamage(file, dbPath), ...checkKey(file, keys)];
    return { file, findings: [...own, ...beside] };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { file: null, findings: [problem("database", error.message, todoOf(error.message)), ...beside] };
  }
}

function missing(dbPath: string): Finding {
  if ((sizeOf(`${dbPath}-wal`) ?? 0) > 0)
    return problem(
      "database",
      `${dbPath} is missing, though its log ${dbPath}-wal is there`,
      "put the file back beside its log",
    );
  return problem(
    "database",
    `${dbPath} is not there: no process has started with this configuration yet, or the file was moved`,
    "start the processes, which make it; or put it back, or name another one in storage.db_path (DB_PATH)",
  );
}

function todoOf(text: string): string {
  if (text.includes("Python mail service")) return "mailctl import takes it over into a new file";
  if (text.includes("another program") || text.includes("not a SQLite database"))
    return "give storage.db_path (DB_PATH) a file of its own; this one was not touched";
  if (text.includes("newer version")) return "start the newer release";
  if (text.includes("earlier release") || text.includes("is empty")) return "start the processes";
  return "look at the disk and at who may read the file; a backup is put in place by mailctl restore";
}

function checkDamage(file: Inspection, dbPath: string): Finding {
  const [damage] = file.damage("quick");
  if (damage === undefined) return ok("database", `${dbPath}, schema ${file.schema.found}, no damage found`);
  return problem(
    "database",
    `${dbPath} is damaged: ${damage}`,
    "stop the processes, keep a copy of the file with its -wal, and restore a backup (mailctl restore) or use sqlite3's .recover",
  );
}

function checkKey(file: Inspection, keys: KeyRing): Finding[] {
  const wanted = file.keyOfSecrets;
  if (wanted === null) return [ok("key", "no secrets are stored yet")];
  const where = keys.configured ? "storage.encryption_key" : keys.file;
  try {
    if (keys.find(wanted) !== null) return [ok("key", `${wanted}, from ${where}`)];
  } catch (error) {
    return [problem("key", (error as Error).message, "put the key file back from where its copy is kept")];
  }
  return [
    problem(
      "key",
      `the passwords in the database are encrypted with the key ${wanted}, which is neither in ${keys.file} nor in storage.encryption_key: no process starts`,
      "put the key file back from where its copy is kept, or name the key in ENCRYPTION_KEY",
    ),
  ];
}

function checkToken(config: Config): Finding {
  if (config.server.allowAnonymous)
    return note("token", "server.allow_anonymous: whoever reaches the API may send mail");
  if (config.server.apiToken !== null) return ok("token", "server.api_token");
  const file = madeTokenFile(config.storage.dbPath);
  if (configuredToken(config) !== null) return ok("token", file);
  return problem("token", `there is no server.api_token, and no ${file}`, "start the api, which makes one");
}

/** What others may read, or put another in the place of. */
function checkModes(dbPath: string): Finding[] {
  const files = ["", "-wal", "-shm", ".key", ".token"].map((end) => `${dbPath}${end}`);
  const open = files.filter((file) => ((modeOf(file) ?? 0) & 0o077) !== 0);
  const findings = open.map((file) =>
    problem("file modes", `others than its owner may read ${file} (${shownMode(file)})`, `chmod 600 ${file}`),
  );
  const folder = dirname(dbPath);
  if (((modeOf(folder) ?? 0) & 0o002) !== 0)
    findings.push(
      problem("file modes", `everybody may write to ${folder} (${shownMode(folder)})`, `chmod 700 ${folder}`),
    );
  return findings.length > 0 ? findings : [ok("file modes", "readable for the owner alone")];
}

export function checkDisk(dbPath: string): Finding[] {
  if (!existsSync(dirname(dbPath))) return [];
  const findings: Finding[] = [];
  try {
    createDisk(dbPath).mustHold(0);
    findings.push(ok("disk", "there is room"));
  } catch (error) {
    if (!(error instanceof StorageUnavailable)) throw error;
    findings.push(
      problem(
        "disk",
        `${error.message}: new messages are refused`,
        "make room on it, or move the database to a larger one",
      ),
    );
  }
  const logBytes = sizeOf(`${dbPath}-wal`) ?? 0;
  if (logBytes > LARGE_LOG_BYTES)
    findings.push(
      problem(
        "log",
        `${dbPath}-wal has ${megabytes(logBytes)}: it is not being moved into the file`,
        "see that a reporter runs, and that no other program keeps the database open (a backup, sqlite3)",
      ),
    );
  else findings.push(ok("log", megabytes(logBytes)));
  return findings;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

function sizeOf(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.size ?? null;
}

function modeOf(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.mode ?? null;
}

function shownMode(path: string): string {
  return `mode ${((modeOf(path) ?? 0) & 0o777).toString(8)}`;
}
