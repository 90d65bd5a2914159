/**
 * What applications do with a queue on Redis: BullMQ keeps the messages, and a worker composes and sends each by
 * nodemailer's pooled transport. Reads `measure NAME COUNT` from standard input, puts so many on the queue, 500 at a time,
 * and prints how many seconds it took until the last was sent.
 *
 *     node bench/rivals/bullmq-worker.ts --port 2525 --redis 6390 --concurrency 20
 */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Queue, Worker } from "bullmq";
import { createTransport } from "nodemailer";
import { type Mail, mail } from "../support/mail.ts";

const { values: options } = parseArgs({
  options: { port: { type: "string" }, redis: { type: "string" }, concurrency: { type: "string", default: "20" } },
});
const AT_ONCE = 500;
const connection = { host: "127.0.0.1", port: Number(options.redis), maxRetriesPerRequest: null };
const transport = createTransport({
  pool: true,
  host: "127.0.0.1",
  port: Number(options.port),
  secure: false,
  ignoreTLS: true,
  maxConnections: 10,
  maxMessages: Number.POSITIVE_INFINITY,
});
const queue = new Queue<Mail>("mail", { connection });
let left = 0;
let done: () => void = () => {};
const worker = new Worker<Mail>(
  "mail",
  async ({ data: { body: text, ...fields } }) => {
    await transport.sendMail({ ...fields, text });
  },
  { connection, concurrency: Number(options.concurrency), removeOnComplete: { count: 0 } },
);
worker.on("completed", () => {
  left -= 1;
  if (left === 0) done();
});
worker.on("failed", (_, error) => {
  throw error;
});
await worker.waitUntilReady();
console.log("ready");

for await (const line of createInterface({ input: process.stdin })) {
  const [, name = "", count = "0"] = line.split(" ");
  const seconds = await measure(name, Number(count));
  console.log(JSON.stringify({ seconds }));
}
process.exit(0);

async function measure(name: string, count: number): Promise<number> {
  left = count;
  const finished = new Promise<void>((resolve) => {
    done = resolve;
  });
  const startedMs = performance.now();
  for (let from = 0; from < count; from += AT_ONCE) {
    const jobs = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, i) => ({
      name: "mail",
      data: mail(`${name}-${from + i}`),
    }));
    await queue.addBulk(jobs);
  }
  await finished;
  return (performance.now() - startedMs) / 1000;
}
