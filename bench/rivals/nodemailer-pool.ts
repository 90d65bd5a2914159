/**
 * What applications do without a queue: nodemailer's pooled transport composes and sends, nothing is stored. Prints how
 * many seconds it took.
 *
 *     node bench/rivals/nodemailer-pool.ts --port 2525 --messages 10000 --warm-up 500
 */
import { parseArgs } from "node:util";
import { mail } from "../support/mail.ts";
import { pooledTransport } from "./pooled-transport.ts";

const { values: options } = parseArgs({
  options: {
    port: { type: "string" },
    messages: { type: "string", default: "10000" },
    "warm-up": { type: "string", default: "500" },
  },
});
const transport = pooledTransport(Number(options.port));

await send("warm-up", Number(options["warm-up"]));
const startedMs = performance.now();
const before = process.cpuUsage();
await send("measured", Number(options.messages));
const seconds = (performance.now() - startedMs) / 1000;
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ seconds, cpuUs: user + system }));
transport.close();

async function send(name: string, count: number): Promise<void> {
  const all = Array.from({ length: count }, (_, i) => {
    const { body: text, ...fields } = mail(`${name}-${i}`);
    return transport.sendMail({ ...fields, text });
  });
  await Promise.all(all);
}
