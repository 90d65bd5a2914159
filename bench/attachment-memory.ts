/**
 * How much memory attachments take: the largest resident size of each process, messages and bytes a second, and the
 * largest size of the cache folder, for 300 messages with a file of 10 MB from a URL each, and for 20 with 30 MB inline.
 * Real processes and a mail server in a process of its own, loopback only. Some two minutes, and 1.5 GB of disk:
 *
 *     npm run bench:attachment-memory
 *     npm run bench:attachment-memory -- --same
 *     npm run bench:attachment-memory -- --messages 30 --inline 4 --together 2
 *
 * `--same`: one URL for all. `--together`: so many of the inline messages are posted at a time.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { eventually } from "../test/support/eventually.ts";
import { startFileServer } from "../test/support/file-server.ts";
import { type Program, startProgram } from "../test/support/programs.ts";
import { type Service, startService } from "../test/support/service.ts";
import { generated } from "./generated-file.ts";
import { plainMessage } from "./latencies.ts";
import { forgetLargest, inMegabytes, residentSize } from "./resident-size.ts";
import { watchFolder } from "./watched-folder.ts";

const { values: options } = parseArgs({
  options: {
    messages: { type: "string", default: "300" },
    inline: { type: "string", default: "20" },
    together: { type: "string", default: "1" },
    same: { type: "boolean", default: false },
  },
});
const MEGABYTE = 1024 * 1024;
const URL_BYTES = 10 * MEGABYTE;
const INLINE_BYTES = 30 * MEGABYTE;
const FILES_HOST = "127.0.0.2";
const PATIENCE_MS = 1_800_000;
const KINDS = ["dispatcher", "api", "reporter"] as const;

const CONFIG = `
[attachments]
allow_hosts = ${FILES_HOST}
max_bytes = ${32 * MEGABYTE}
max_message_bytes = ${64 * MEGABYTE}
`;

type Load = { name: string; count: number; bytesEach: number; post(service: Service): Promise<void> };

await overUrls(Number(options.messages));
await inline(Number(options.inline), Number(options.together));

async function overUrls(count: number): Promise<void> {
  const files = await startFileServer({}, { host: FILES_HOST });
  const urlOf = (i: number) => files.url(options.same ? "/same" : `/file-${i}`);
  for (let i = 0; i < count; i += 1) files.files[new URL(urlOf(i)).pathname] = generated(URL_BYTES);
  const name = `${count} messages with 10 MB from ${options.same ? "one URL" : "a URL each"}`;
  await measure({
    name,
    count,
    bytesEach: URL_BYTES,
    async post(service) {
      const all = Array.from({ length: count }, (_, i) => ({
        ...plainMessage(`url-${i}`),
        attachments: [{ url: urlOf(i) }],
      }));
      await add(service, all);
    },
  });
  console.log(`  the file server was asked ${files.requests.length} times`);
  await files.close();
}

async function inline(count: number, together: number): Promise<void> {
  const content = Buffer.alloc(INLINE_BYTES, "An attachment that is part of its message. ").toString("base64");
  await measure({
    name: `${count} messages with 30 MB inline each, posted ${together} at a time`,
    count,
    bytesEach: INLINE_BYTES,
    async post(service) {
      const attachments = [{ filename: "inline.bin", content }];
      for (let from = 0; from < count; from += together) {
        const some = Array.from({ length: Math.min(together, count - from) }, (_, i) => `inline-${from + i}`);
        await Promise.all(some.map((id) => add(service, [{ ...plainMessage(id), attachments }])));
      }
    },
  });
}

async function measure({ name, count, bytesEach, post }: Load): Promise<void> {
  const sink = startProgram([join(import.meta.dirname, "smtp-sink.ts")], { cwd: process.cwd(), env: process.env });
  const port = await eventually(() => /^port (\d+)$/m.exec(sink.stdout())?.[1], PATIENCE_MS, "the sink's port");
  const service = await startService({ config: CONFIG, env: { SMTP_PORT: port } });
  await add(service, [plainMessage("warm-up")]);
  await taken(sink, 1);
  const atRest = sizes(service);
  for (const { pid } of Object.values(processesOf(service))) forgetLargest(pid);
  const cache = watchFolder(join(service.folder, "mail.db.attachments"));

  const startedMs = performance.now();
  await post(service);
  const postedMs = performance.now();
  const messages = (await taken(sink, count + 1)).slice(1);
  const seconds = (performance.now() - startedMs) / 1000;
  const largest = sizes(service);
  console.log(`${name}:`);
  for (const kind of KINDS)
    console.log(`  ${kind}: ${told(atRest[kind]?.now)} at rest, at most ${told(largest[kind]?.largest)}`);
  console.log(
    `  ${tell(count, bytesEach, seconds)}, of which ${((postedMs - startedMs) / 1000).toFixed(1)} s until the last 200`,
  );
  console.log(`  cache folder: at most ${inMegabytes(cache.stop())}`);
  const short = messages.filter((bytes) => bytes < base64Length(bytesEach));
  const items = service.client.calls.flatMap((call) => call.body?.delivery_report ?? []);
  const deferrals = items.filter((item) => item.deferred_ts).length;
  console.log(`  ${messages.length} arrived, ${short.length} of them incomplete; ${deferrals} deferrals`);
  await service.stop();
  sink.kill("SIGKILL");
  await sink.exited();
  if (short.length > 0 || messages.length !== count) process.exitCode = 1;
}

type Sizes = Record<(typeof KINDS)[number], ReturnType<typeof residentSize>>;

function processesOf({ processes: { api, reporter, dispatchers } }: Service) {
  return { dispatcher: dispatchers[0]!, api, reporter };
}

function sizes(service: Service): Sizes {
  const { dispatcher, api, reporter } = processesOf(service);
  return { dispatcher: residentSize(dispatcher.pid), api: residentSize(api.pid), reporter: residentSize(reporter.pid) };
}

/** The octets of each message that the sink took, once they are so many. */
async function taken(sink: Program, count: number): Promise<number[]> {
  const all = () => [...sink.stdout().matchAll(/^message (\d+)$/gm)].map(([, bytes]) => Number(bytes));
  return await eventually(() => all().length >= count && all(), PATIENCE_MS, `message ${count} at the mail server`);
}

async function add({ api }: Service, messages: object[]): Promise<void> {
  const { status, text } = await api.addMessages(...messages);
  if (status !== 200) throw new Error(`the API answered ${status} ${text}`);
}

function tell(count: number, bytesEach: number, seconds: number): string {
  const rate = (count / seconds).toFixed(1);
  return `${rate} messages and ${inMegabytes((count * bytesEach) / seconds)} of files a second, ${seconds.toFixed(1)} s in all`;
}

function told(bytes: number | undefined): string {
  return bytes === undefined ? "unknown (no /proc here)" : inMegabytes(bytes);
}

/** RFC 2045 §6.8: lines of 76, which stand for 57 bytes. */
function base64Length(bytes: number): number {
  return Math.floor(bytes / 57) * 78;
}
