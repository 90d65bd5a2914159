/**
 * Ten processes (three apis, four dispatchers, three reporters) started at the same moment, again and again: on a fresh
 * file, and on one of the first release's schema, which they bring to today's. Counts those that do not come to listen,
 * those that do not end in good order, and rounds after which a message of the old file is not there. Some ten seconds
 * a round on two cores:
 *
 *     npm run bench:start-together -- --rounds 50
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import Database from "better-sqlite3";
import { FIRST_RELEASE, makeFirstReleaseFile } from "../test/storage/first-release.ts";
import { startTen } from "../test/storage/ten-processes.ts";
import { startSmtpServer } from "../test/support/smtp-server.ts";
import { temporaryFolder } from "../test/support/temporary-folder.ts";

const { values: options } = parseArgs({ options: { rounds: { type: "string", default: "50" } } });
const ROUNDS = Number(options.rounds);
const OLD = Object.values(FIRST_RELEASE).flat();

const smtp = await startSmtpServer();
const ENV = {
  SMTP_HOST: smtp.host,
  SMTP_PORT: String(smtp.port),
  SMTP_SECURITY: "none",
  // With no client to report to, what ended long ago would be purged: here everything is to be found again.
  DELIVERY_REPORT_RETENTION_SECONDS: "0",
};
await rounds("a fresh file", () => {}, 0);
await rounds("a file of the first release", (path) => makeFirstReleaseFile(path, smtp), OLD.length);
await smtp.close();

async function rounds(name: string, prepare: (path: string) => void, messages: number): Promise<void> {
  const failed: string[] = [];
  const ended: string[] = [];
  let lost = 0;
  const tookMs: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const folder = temporaryFolder();
    const path = join(folder, "mail.db");
    prepare(path);
    const startedMs = performance.now();
    const together = await startTen(folder, ENV);
    tookMs.push(performance.now() - startedMs);
    failed.push(...together.failures);
    ended.push(...(await together.stop()));
    lost += messages - countMessages(path);
    rmSync(folder, { recursive: true });
  }
  const longest = (Math.max(...tookMs) / 1000).toFixed(1);
  console.log(`${name}: ${ROUNDS} rounds of ten, all listening after at most ${longest} s`);
  console.log(`  ${failed.length} failed to start, ${ended.length} ended badly, ${lost} messages lost`);
  for (const complaint of [...failed, ...ended]) console.log(complaint);
}

function countMessages(path: string): number {
  const db = new Database(path, { readonly: true });
  const count = db.prepare("SELECT count(*) FROM messages").pluck().get();
  db.close();
  return Number(count);
}
