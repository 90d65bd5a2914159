/**
 * What a claim and its settling cost on an account with limits in all windows: with nothing sent before, and with a
 * million sent in the last day. Both in the same run, on files of their own:
 *
 *     npm run bench:claim-cost
 *     npm run bench:claim-cost -- --sent 100000
 */
import { parseArgs } from "node:util";
import Database from "better-sqlite3";
import { type Claiming, claiming } from "../test/libs/db/claiming.ts";

const { values: options } = parseArgs({ options: { sent: { type: "string", default: "1000000" } } });
const SENT = Number(options.sent);
const CLAIMS = 500;
const DAY_MS = 86_400_000;
/** Never reached, so that each claim looks at every window and is given. */
const FAR = 1e9;
const LIMITS = { perMinute: FAR, perHour: FAR, perDay: FAR, recipientsPerDay: FAR };

const fresh = await claiming({ limits: LIMITS });
const used = await claiming({ limits: LIMITS });
for (const one of [fresh, used]) await one.enqueue(2 * CLAIMS);
await claimAndSettle(used); // its queue has a row now
fill(used);
// In turns, so that whatever else the machine does meets both.
const times = { fresh: [] as number[], used: [] as number[] };
for (let i = 0; i < CLAIMS; i += 1) {
  times.fresh.push(await claimAndSettle(fresh));
  times.used.push(await claimAndSettle(used));
}
const [without, behind] = [median(times.fresh), median(times.used)];
console.log(`nothing sent before: ${without.toFixed(3)} ms a claim with its settle (median of ${CLAIMS})`);
console.log(`${SENT} sent in the last day: ${behind.toFixed(3)} ms, ${(behind / without).toFixed(2)} times as long`);
await Promise.all([fresh.close(), used.close()]);

async function claimAndSettle(file: Claiming): Promise<number> {
  await file.clock.advance(1);
  const startedMs = performance.now();
  const [one] = await file.claim({ slots: 1 });
  if (one === undefined) throw new Error("nothing was given");
  await file.settle(one);
  return performance.now() - startedMs;
}

/** As the transactions would have written it, in a second instead of an hour. */
function fill(file: Claiming): void {
  const db = new Database(file.path);
  const { steadyMs } = file.clock.now();
  const insert = db.prepare("INSERT INTO sends (queue, ended_ms, sends_total, recipients_total) VALUES (1, ?, ?, ?)");
  db.transaction(() => {
    db.exec("DELETE FROM sends");
    for (let i = 1; i <= SENT; i += 1) insert.run(steadyMs - DAY_MS + Math.floor((i * (DAY_MS - 1000)) / SENT), i, i);
    db.exec(`UPDATE queues SET sends_total = ${SENT}, recipients_total = ${SENT}, last_ended_ms = ${steadyMs - 1000}`);
  })();
  db.close();
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
