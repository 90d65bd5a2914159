/**
 * A backup every second while messages flow and processes are killed. Each copy is checked, restored into a folder of
 * its own, and run there: the service has to go on from it, report what it owes, and give numbers (`seq`) above all
 * that the client has seen.
 *
 *     npm run bench:backups -- --messages 20000
 */

import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import Database from "better-sqlite3";
import { mailctl } from "../test/apps/mailctl/running-mailctl.ts";
import { apiClient } from "../test/support/api-client.ts";
import { eventually } from "../test/support/eventually.ts";
import { aMessage } from "../test/support/messages.ts";
import { type Proc, startProcess } from "../test/support/processes.ts";
import { startSmtpServer } from "../test/support/smtp-server.ts";
import { type SyncClient, startSyncClient } from "../test/support/sync-client.ts";
import { temporaryFolder } from "../test/support/temporary-folder.ts";

const { values } = parseArgs({ options: { messages: { type: "string", default: "20000" } } });
const MESSAGES = Number(values.messages);
const BATCH = 250;
const CONFIG = "[delivery]\nlease_seconds = 3\nshutdown_grace_seconds = 5\n";
const KINDS = ["api", "reporter", "dispatcher", "dispatcher"] as const;

const smtp = await startSmtpServer();
const client = await startSyncClient();
const folder = temporaryFolder();
const running = new Map<number, Proc>();
for (const index of KINDS.keys()) running.set(index, await start(folder, index, client));
let killed = 0;
let flowing = true;

const [copies] = await Promise.all([backUp(), killNowAndThen(), post().finally(() => (flowing = false))]);
await Promise.all([...running.values()].map((one) => one.stop(30_000)));
console.log(`${MESSAGES} messages posted, ${killed} processes killed, ${copies.length} backups made meanwhile`);

const lastSeq = Math.max(0, ...client.calls.flatMap(({ body }) => body?.delivery_report?.map(({ seq }) => seq) ?? []));
let sound = 0;
for (const [index, copy] of copies.entries()) {
  const found = await goOnFrom(copy, index);
  console.log(`backup ${index + 1}: ${found}`);
  if (found.startsWith("ok")) sound += 1;
}
console.log(`${sound} of ${copies.length} backups are sound and were gone on from`);
await Promise.all([smtp.close(), client.close()]);
process.exitCode = sound === copies.length && copies.length > 0 ? 0 : 1;

function environment(sync: SyncClient): Record<string, string> {
  return { SMTP_HOST: smtp.host, SMTP_PORT: String(smtp.port), SMTP_SECURITY: "none", PROXY_SYNC_URL: sync.url };
}

async function start(folder: string, index: number, sync: SyncClient): Promise<Proc> {
  const proc = await startProcess(KINDS[index]!, { folder, env: environment(sync), config: CONFIG });
  await proc.listening();
  return proc;
}

async function apiNow() {
  return apiClient((await running.get(0)!.logged("listening")).url);
}

/** As a client does: what got no answer is posted again. */
async function post(): Promise<void> {
  for (let at = 0; at < MESSAGES; at += BATCH) {
    const batch = Array.from({ length: BATCH }, (_, i) => aMessage({ id: `m-${at + i}` }));
    await eventually(async () => (await (await apiNow()).addMessages(...batch)).status === 200, 60_000, "an answer");
    await pause(300);
  }
}

async function killNowAndThen(): Promise<void> {
  for (let turn = 0; flowing; turn += 1) {
    await pause(2000);
    const index = turn % KINDS.length;
    running.get(index)!.kill("SIGKILL");
    killed += 1;
    running.set(index, await start(folder, index, client));
  }
}

async function backUp(): Promise<string[]> {
  const made: string[] = [];
  while (flowing) {
    const copy = join(folder, `copy-${made.length}.db`);
    const { code, stderr } = await mailctl(["backup", copy], {
      cwd: folder,
      env: { DB_PATH: join(folder, "mail.db") },
    });
    if (code !== 0) throw new Error(`backup ${made.length}: ${stderr}`);
    made.push(copy);
    await pause(1000);
  }
  return made;
}

/** Answers what is wrong, or `ok` and what was found. */
async function goOnFrom(copy: string, index: number): Promise<string> {
  const db = new Database(copy, { readonly: true });
  const integrity = db.pragma("integrity_check", { simple: true });
  const count = (where: string) =>
    db.prepare<[], number>(`SELECT count(*) FROM messages WHERE ${where}`).pluck().get()!;
  const [all, unsent] = [count("1"), count("ended_ms IS NULL")];
  db.close();
  if (integrity !== "ok") return `integrity_check: ${integrity}`;
  const target = join(folder, `restored-${index}`);
  mkdirSync(target, { mode: 0o700 });
  const path = join(target, "mail.db");
  copyFileSync(join(folder, "mail.db.key"), `${path}.key`);
  const restored = await mailctl(["restore", copy], { cwd: target, env: { DB_PATH: path } });
  if (restored.code !== 0) return `restore: ${restored.stderr}`;
  const sync = await startSyncClient();
  const procs = await Promise.all([0, 1, 2].map((each) => start(target, each, sync)));
  try {
    const api = apiClient((await procs[0]!.logged("listening")).url);
    await api.addMessages(aMessage({ id: "after-restore" }));
    const items = () => sync.calls.flatMap(({ body }) => body?.delivery_report ?? []);
    await eventually(async () => (await api.get("/status")).body.pending_messages === 0, 120_000, "all to be sent");
    const after = await eventually(() => items().find(({ id }) => id === "after-restore"), 60_000, "the report");
    if (after.seq <= lastSeq) return `seq ${after.seq} is not above ${lastSeq}`;
    return `ok, ${all} messages, ${unsent} of them unsent and sent now, seq ${after.seq - lastSeq} above the last one before`;
  } finally {
    await Promise.all(procs.map((one) => one.stop(30_000)));
    await sync.close();
  }
}
