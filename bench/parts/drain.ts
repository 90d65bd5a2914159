import { cpuMicroseconds } from "../support/cpu.ts";
import type { Figure, Part, Settings } from "../support/figures.ts";
import { batches } from "../support/mail.ts";
import { type Redis, startRedis } from "../support/redis.ts";
import { answerOf, startRival } from "../support/rival.ts";
import { inTurn, median, ratios, type Values } from "../support/rounds.ts";
import { startMeasured } from "../support/service.ts";
import { fastestSink, type Sink } from "../support/sink.ts";

const WARM_UP = 10_000;
const BATCH = 500;
const CONNECTIONS = "[delivery]\nmax_connections_per_account = 10\n";

/** From the first POST to the last report acknowledged, against what applications do without such a service. */
export async function drain({ rounds, messages, tell }: Settings): Promise<Part> {
  const cpu: Record<string, Values> = {};
  const rivalCpu = { nodemailer: [] as Values, bullmq: [] as Values };
  const redis = await startRedis();
  const contenders: Record<string, () => Promise<number>> = {
    service: () => ofService(messages, cpu),
    nodemailer: () => ofNodemailer(messages, rivalCpu.nodemailer),
    ...(redis === null ? {} : { bullmq: () => ofBullmq(messages, redis, rivalCpu.bullmq) }),
  };
  const rates = await inTurn(rounds, contenders, tell);
  redis?.close();

  const { service = [], nodemailer = [], bullmq } = rates;
  const figures: Figure[] = [
    {
      what: "this service, from the first POST to the last report",
      values: service,
      unit: "messages/s",
      headline: true,
    },
    { what: "a bare nodemailer pool, nothing stored", values: nodemailer, unit: "messages/s" },
    { what: "times as fast as", of: 1, values: ratios(service, nodemailer), unit: "", wanted: { atLeast: 1.3 } },
  ];
  if (bullmq !== undefined)
    figures.push(
      { what: "BullMQ on Redis with nodemailer", values: bullmq, unit: "messages/s" },
      { what: "times as fast as", of: 1, values: ratios(service, bullmq), unit: "", wanted: { atLeast: 2.5 } },
    );
  for (const [name, values] of Object.entries(cpu))
    figures.push({ what: `CPU a message: ${name}`, values, unit: "µs" });
  const sum = Object.values(cpu).reduce((all, values) => all + median(values), 0);
  figures.push({ what: "CPU a message: all together", values: [sum], unit: "µs" });
  figures.push({
    what: "CPU a message: the nodemailer pool, without the sink",
    values: rivalCpu.nodemailer,
    unit: "µs",
  });
  if (bullmq !== undefined)
    figures.push({
      what: "CPU a message: BullMQ's producer and worker, and Redis",
      values: rivalCpu.bullmq,
      unit: "µs",
    });
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

async function ofNodemailer(messages: number, cpu: Values): Promise<number> {
  return withSink(async ({ port }) => {
    const args = ["--port", `${port}`, "--messages", `${messages}`, "--warm-up", `${WARM_UP}`];
    const { seconds, cpuUs } = await answerOf("nodemailer-pool.ts", args);
    cpu.push(cpuUs / messages);
    return messages / seconds;
  });
}

/** The application's process puts its messages on the queue, while the worker's sends them. */
async function ofBullmq(messages: number, redis: Redis, cpu: Values): Promise<number> {
  return withSink(async ({ port }) => {
    const worker = startRival("bullmq-worker.ts", ["--port", `${port}`, "--redis", `${redis.port}`]);
    const producer = startRival("bullmq-producer.ts", ["--redis", `${redis.port}`]);
    await Promise.all([worker.line(), producer.line()]); // ready
    const deliver = async (name: string, count: number) => {
      worker.tell(`expect ${count}`);
      await worker.line(); // expecting
      producer.tell(`put ${name} ${count}`);
      await worker.line(); // done
    };
    await deliver("warm-up", WARM_UP);
    const all = () => [worker.pid, producer.pid, redis.pid].reduce((sum, pid) => sum + cpuMicroseconds(pid), 0);
    const [startedMs, usBefore] = [performance.now(), all()];
    await deliver("measured", messages);
    const seconds = (performance.now() - startedMs) / 1000;
    cpu.push((all() - usBefore) / messages);
    worker.end();
    producer.end();
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
