import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { cpuMicroseconds } from "../support/cpu.ts";
import type { Figure, Part } from "../support/figures.ts";
import { batches } from "../support/mail.ts";
import { startRedis } from "../support/redis.ts";
import { inTurn, median, ratios, type Values } from "../support/rounds.ts";
import { startMeasured } from "../support/service.ts";
import { fastestSink, type Sink } from "../support/sink.ts";

export type DrainOptions = { rounds: number; messages: number; tell(text: string): void };

const WARM_UP = 10_000;
const BATCH = 500;
const CONNECTIONS = "[delivery]\nmax_connections_per_account = 10\n";

/** From the first POST to the last report acknowledged, against what applications do without such a service. */
export async function drain({ rounds, messages, tell }: DrainOptions): Promise<Part> {
  const cpu: Record<string, Values> = {};
  const redis = await startRedis();
  const contenders: Record<string, () => Promise<number>> = {
    service: () => ofService(messages, cpu),
    nodemailer: () => ofNodemailer(messages),
    ...(redis === null ? {} : { bullmq: () => ofBullmq(messages, redis.port) }),
  };
  const rates = await inTurn(rounds, contenders, tell);
  redis?.close();

  const { service = [], nodemailer = [], bullmq } = rates;
  const figures: Figure[] = [
    { what: "this service", values: service, unit: "messages/s" },
    { what: "a bare nodemailer pool, nothing stored", values: nodemailer, unit: "messages/s" },
    { what: "times as fast as that", values: ratios(service, nodemailer), unit: "", wanted: { atLeast: 1.3 } },
  ];
  if (bullmq !== undefined)
    figures.push(
      { what: "BullMQ on Redis with nodemailer", values: bullmq, unit: "messages/s" },
      { what: "times as fast as that", values: ratios(service, bullmq), unit: "", wanted: { atLeast: 2.5 } },
    );
  for (const [name, values] of Object.entries(cpu))
    figures.push({ what: `CPU a message: ${name}`, values, unit: "µs" });
  const sum = Object.values(cpu).reduce((all, values) => all + median(values), 0);
  figures.push({ what: "CPU a message: all together", values: [sum], unit: "µs" });
  const { name: sink } = await withSink(async (one) => one);
  return { name: "drain", about: `${messages} messages of 1 KB, one account, 10 connections, to ${sink}`, figures };
}

async function ofService(messages: number, cpu: Record<string, Values>): Promise<number> {
  return withSink(async (sink) => {
    const service = await startMeasured({ sink, config: CONNECTIONS });
    await service.deliver(batches("warm-up", WARM_UP, BATCH), WARM_UP);
    const bodies = batches("measured", messages, BATCH);
    const { api, reporter, dispatchers } = service.processes;
    const pids = {
      api: api.pid,
      dispatcher: dispatchers[0]!.pid,
      reporter: reporter.pid,
      application: process.pid,
      sink: sink.pid,
    };
    const before = Object.entries(pids).map(([name, pid]) => ({ name, pid, us: cpuMicroseconds(pid) }));
    const startedMs = performance.now();
    await service.deliver(bodies, messages);
    const seconds = (performance.now() - startedMs) / 1000;
    for (const { name, pid, us } of before) {
      cpu[name] ??= [];
      cpu[name].push((cpuMicroseconds(pid) - us) / messages);
    }
    await service.stop();
    return messages / seconds;
  });
}

async function ofNodemailer(messages: number): Promise<number> {
  return withSink(async (sink) => {
    const program = join(import.meta.dirname, "../rivals/nodemailer-pool.ts");
    const args = [program, "--port", String(sink.port), "--messages", String(messages), "--warm-up", String(WARM_UP)];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    for await (const line of createInterface({ input: child.stdout })) return messages / JSON.parse(line).seconds;
    throw new Error("the nodemailer pool ended without an answer");
  });
}

async function ofBullmq(messages: number, redisPort: number): Promise<number> {
  return withSink(async (sink) => {
    const program = join(import.meta.dirname, "../rivals/bullmq-worker.ts");
    const args = [program, "--port", String(sink.port), "--redis", String(redisPort)];
    const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => (await lines.next()).value as string;
    await next(); // ready
    child.stdin.write(`measure warm-up ${WARM_UP}\n`);
    await next();
    child.stdin.write(`measure measured ${messages}\n`);
    const { seconds } = JSON.parse(await next());
    child.kill("SIGKILL");
    return messages / seconds;
  });
}

async function withSink<T>(use: (sink: Sink) => Promise<T>): Promise<T> {
  const sink = await fastestSink();
  try {
    return await use(sink);
  } finally {
    sink.close();
  }
}
