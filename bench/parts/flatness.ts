import { statSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { openedAt } from "../../test/support/database.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { forgetLargest, residentSize } from "../resident-size.ts";
import type { Figure, Part, Settings } from "../support/figures.ts";
import { batches } from "../support/mail.ts";
import { inTurn, median, ratios, type Values } from "../support/rounds.ts";
import { type Measured, startMeasured } from "../support/service.ts";
import { fastestSink } from "../support/sink.ts";

const BATCH = 500;
const WARM_UP = 3000;
const ACCOUNTS = 1000;
const CONFIG = "[delivery]\nmax_connections_per_account = 10\n";
const CLAIMS = 200;
const SLOTS = 20;
const WEEK_MS = 7 * 86_400_000;
const MEGABYTE = 1024 * 1024;

type Filled = { name: string; folder: string; seconds: number; megabytes: number };

/** Whether the cost of a message grows with what else is in the file. */
export async function flatness({ rounds, messages, stored, tell }: Settings): Promise<Part> {
  const count = stored.toLocaleString("en");
  const fillings: Record<string, (service: Measured) => Promise<void>> = {
    "an otherwise empty file": async () => {},
    [`${count} waiting`]: (service) => post(service, "waiting", stored, () => ({ priority: 3 })),
    [`${count} deferred to next week`]: (service) =>
      post(service, "deferred", stored, () => ({ deferred_ts: (Date.now() + WEEK_MS) / 1000 })),
    [`${count} sent and reported`]: (service) => sendAll(service, stored),
    [`${ACCOUNTS} accounts at their limits`]: (service) => limitedAccounts(service),
  };
  const files: Filled[] = [];
  for (const [name, fill] of Object.entries(fillings)) {
    files.push(await filled(name, fill));
    const { seconds, megabytes } = files.at(-1)!;
    tell(`${name}: made in ${seconds.toFixed(0)} s, ${megabytes.toFixed(0)} MB`);
  }
  let run = 0;
  const drains = Object.fromEntries(
    files.map((file) => [file.name, () => drainRate(file.folder, `run-${run++}`, messages)]),
  );
  const rates = await inTurn(rounds, drains, tell);
  const claims: Record<string, Values> = Object.fromEntries(files.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1)
    for (const { name, folder } of files) claims[name]?.push(await claimMs(folder, `${round}-${run++}`));
  const [empty, waiting] = files;
  const figures = files.flatMap(({ name, seconds, megabytes }): Figure[] => {
    const [drain, claim] = [rates[name] ?? [], claims[name] ?? []];
    const isOther = name !== empty?.name;
    return [
      ...(isOther ? [{ what: `${name}: time to get there`, values: [seconds], unit: "s" }] : []),
      ...(isOther ? [{ what: `${name}: size of the file`, values: [megabytes], unit: "MB" }] : []),
      { what: `${name}: drain`, values: drain, unit: "messages/s" },
      ...(isOther
        ? [
            {
              what: "of the empty file's, with",
              of: 1,
              values: ratios(drain, rates[empty!.name] ?? []),
              unit: "",
              wanted: { atLeast: 0.9 },
            },
          ]
        : []),
      { what: `${name}: a claim of ${SLOTS}`, values: claim, unit: "ms" },
      ...(isOther
        ? [
            {
              what: "times the empty file's, with",
              of: 1,
              values: ratios(claim, claims[empty!.name] ?? []),
              unit: "",
              wanted: { atMost: 1.5 },
            },
          ]
        : []),
    ];
  });
  figures.push(...(await listing(waiting!)));
  return { name: "flatness", about: "the cost of a message beside what else is in the file", figures };
}

/** A file that was filled by the service itself, which is suspended at its end. */
async function filled(name: string, fill: (service: Measured) => Promise<void>): Promise<Filled> {
  const folder = temporaryFolder();
  const sink = await fastestSink();
  const service = await startMeasured({ sink, folder, config: CONFIG });
  await service.suspend();
  const startedMs = performance.now();
  await fill(service);
  const seconds = (performance.now() - startedMs) / 1000;
  await service.suspend();
  await service.stop();
  sink.close();
  return { name, folder, seconds, megabytes: statSync(join(folder, "mail.db")).size / MEGABYTE };
}

async function post(service: Measured, name: string, count: number, fields: (i: number) => object): Promise<void> {
  let next = 0;
  const poster = async () => {
    for (let from = next; from < count; from = next) {
      next += BATCH;
      const [body] = batches(`${name}-${from}`, Math.min(BATCH, count - from), BATCH, (i) => fields(from + i));
      await service.application.post(service.api, body as string);
    }
  };
  await Promise.all([poster(), poster(), poster()]);
}

async function sendAll(service: Measured, count: number): Promise<void> {
  const reported = service.application.untilReported(count);
  await service.activate();
  await post(service, "sent", count, () => ({}));
  await reported;
}

/** Each has sent as many as it may for a day, and has ten more waiting. */
async function limitedAccounts(service: Measured): Promise<void> {
  const limits = { limit_per_minute: 1, limit_per_hour: 1, limit_per_day: 1 };
  for (let i = 0; i < ACCOUNTS; i += 1) await service.addAccount(`limited-${i}`, service.sinkPort, limits);
  const reported = service.application.untilReported(ACCOUNTS);
  await post(service, "limited", ACCOUNTS * 11, (i) => ({ account_id: `limited-${i % ACCOUNTS}` }));
  await service.activate();
  await reported;
}

/** Messages a second, of such as wait for nothing but their turn, and are more urgent than what else waits. */
async function drainRate(folder: string, name: string, messages: number): Promise<number> {
  const sink = await fastestSink();
  const service = await startMeasured({ sink, folder, config: CONFIG });
  await post(service, name, messages + WARM_UP, () => ({ priority: 1 }));
  const warm = service.application.untilReported(WARM_UP);
  await service.activate();
  await warm;
  const begun = service.application.reported();
  const startedMs = performance.now();
  await service.application.untilReported(WARM_UP + messages);
  const rate = ((service.application.reported() - begun) * 1000) / (performance.now() - startedMs);
  await service.suspend();
  await service.stop();
  sink.close();
  return rate;
}

/** The median time of a claim with its commit, in ms, with no other process on the file. */
async function claimMs(folder: string, name: string): Promise<number> {
  const sink = await fastestSink();
  const service = await startMeasured({ sink, folder, config: CONFIG });
  await post(service, name, SLOTS * 10, () => ({ priority: 0 }));
  await service.stop();
  sink.close();
  const boot = { bootId: name, monotonicMs: 0, wallMs: Date.now() };
  const store = await openedAt(join(folder, "mail.db"), boot);
  let steadyMs = Date.now() + 1000;
  const now = () => {
    steadyMs += 1;
    return { wallMs: Date.now(), steadyMs };
  };
  await store.service.setActive(true);
  const process = await store.processes.register({ kind: "dispatcher", pid: 1, host: "bench", version: "0" }, now());
  const times: Values = [];
  for (let i = 0; i < CLAIMS; i += 1) {
    const request = { process, slots: SLOTS, capacity: 200, bytes: 1e9, held: new Map(), maxConnectionsPerAccount: 10 };
    const startedMs = performance.now();
    const answer = await store.queue.claimDue(request, now());
    times.push(performance.now() - startedMs);
    if (answer.kind !== "claimed" || answer.claims.length === 0) throw new Error(`nothing was claimed: ${answer.kind}`);
    const back = { kind: "given_back", reason: "measured", mailFromSent: false } as const;
    await Promise.all(answer.claims.map((claim) => store.queue.settle(claim, back, now())));
  }
  await store.service.setActive(false);
  await store.processes.leave(process, now());
  await store.close();
  return median(times);
}

/** GET /messages without a limit. */
async function listing({ name, folder }: Filled): Promise<Figure[]> {
  const sink = await fastestSink();
  const service = await startMeasured({ sink, folder, config: CONFIG });
  const { pid } = service.processes.api;
  const before = residentSize(pid)?.now ?? Number.NaN;
  forgetLargest(pid);
  const startedMs = performance.now();
  const { firstMs, bytes } = await new Promise<{ firstMs: number; bytes: number }>((resolve, reject) => {
    get(`${service.api}/messages`, { headers: { "x-api-token": "test-token" } }, (response) => {
      let firstMs = Number.NaN;
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        if (bytes === 0) firstMs = performance.now() - startedMs;
        bytes += chunk.length;
      });
      response.on("end", () => resolve({ firstMs, bytes })).on("error", reject);
    }).on("error", reject);
  });
  const seconds = (performance.now() - startedMs) / 1000;
  const largest = residentSize(pid)?.largest ?? Number.NaN;
  await service.stop();
  sink.close();
  return [
    { what: `GET /messages, ${name}: first byte`, values: [firstMs], unit: "ms" },
    { what: "all of them", values: [seconds], unit: "s" },
    { what: "size of the answer", values: [bytes / MEGABYTE], unit: "MB" },
    { what: "the API's memory before", values: [before / MEGABYTE], unit: "MB" },
    { what: "the API's memory at most", values: [largest / MEGABYTE], unit: "MB" },
  ];
}
