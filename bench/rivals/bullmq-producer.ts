/**
 * The application's side of bench/rivals/bullmq-worker.ts: reads `put NAME COUNT` from standard input, and puts so many
 * messages on the queue, 500 at a time.
 *
 *     node bench/rivals/bullmq-producer.ts --redis 6390
 */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Queue } from "bullmq";
import { type Mail, mail } from "../support/mail.ts";

const { values: options } = parseArgs({ options: { redis: { type: "string" } } });
const AT_ONCE = 500;
const connection = { host: "127.0.0.1", port: Number(options.redis), maxRetriesPerRequest: null };
const queue = new Queue<Mail>("mail", { connection });
await queue.waitUntilReady();
console.log("ready");

for await (const line of createInterface({ input: process.stdin })) {
  const [, name = "", count = "0"] = line.split(" ");
  for (let from = 0; from < Number(count); from += AT_ONCE) {
    const jobs = Array.from({ length: Math.min(AT_ONCE, Number(count) - from) }, (_, i) => ({
      name: "mail",
      data: mail(`${name}-${from + i}`),
    }));
    await queue.addBulk(jobs);
  }
}
