/**
 * What applications do with a queue on Redis: BullMQ keeps the messages, and a worker composes and sends each by
 * nodemailer's pooled transport. Reads `expect COUNT` from standard input, and prints a line when so many have been sent
 * and noted. bench/rivals/bullmq-producer.ts puts them on the queue.
 *
 *     node bench/rivals/bullmq-worker.ts --port 2525 --redis 6390 --concurrency 20
 */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Worker } from "bullmq";
import type { Mail } from "../support/mail.ts";
import { pooledTransport } from "./pooled-transport.ts";

const { values: options } = parseArgs({
  options: { port: { type: "string" }, redis: { type: "string" }, concurrency: { type: "string", default: "20" } },
});
const connection = { host: "127.0.0.1", port: Number(options.redis), maxRetriesPerRequest: null };
const transport = pooledTransport(Number(options.port));
let left = 0;
const worker = new Worker<Mail>(
  "mail",
  async ({ data: { body: text, ...fields } }) => {
    await transport.sendMail({ ...fields, text });
  },
  { connection, concurrency: Number(options.concurrency), removeOnComplete: { count: 0 } },
);
worker.on("completed", () => {
  left -= 1;
  if (left === 0) console.log("done");
});
worker.on("failed", (_, error) => {
  throw error;
});
await worker.waitUntilReady();
console.log("ready");

for await (const line of createInterface({ input: process.stdin })) {
  left = Number(line.split(" ")[1]);
  console.log("expecting");
}
