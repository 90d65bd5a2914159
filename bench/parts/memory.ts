import { setTimeout as pause } from "node:timers/promises";
import { forgetLargest, residentSize } from "../resident-size.ts";
import { cpuMicroseconds } from "../support/cpu.ts";
import type { Figure, Part, Settings } from "../support/figures.ts";
import { batches } from "../support/mail.ts";
import type { Values } from "../support/rounds.ts";
import { startMeasured } from "../support/service.ts";
import { fastestSink } from "../support/sink.ts";

const MEGABYTE = 1024 * 1024;
/** After the start, until what it took has been given back. */
const SETTLE_MS = 10_000;
const IDLE_MS = 60_000;

/** What the three processes take when there is nothing to do, and while mail flows. */
export async function memory({ messages, rounds, tell }: Settings): Promise<Part> {
  const values: Record<string, Values> = {};
  const note = (name: string, value: number) => {
    values[name] ??= [];
    values[name].push(value);
  };
  // The idle minute is long, and the same each time.
  for (let round = 0; round < Math.min(rounds, 3); round += 1) {
    const sink = await fastestSink();
    const service = await startMeasured({ sink });
    const { api, reporter, dispatchers } = service.processes;
    const processes = { api, dispatcher: dispatchers[0]!, reporter };
    await pause(SETTLE_MS);
    const usBefore = Object.entries(processes).map(([name, { pid }]) => [name, cpuMicroseconds(pid)] as const);
    await pause(IDLE_MS);
    let all = 0;
    for (const [name, us] of usBefore) {
      const share = (cpuMicroseconds(processes[name as keyof typeof processes].pid) - us) / (IDLE_MS * 10);
      note(`idle ${name}`, share);
      all += share;
    }
    note("idle all", all);
    for (const [name, { pid }] of Object.entries(processes)) {
      note(`rest ${name}`, (residentSize(pid)?.now ?? Number.NaN) / MEGABYTE);
      forgetLargest(pid);
    }
    await service.deliver(batches("drain", messages * 3, 500), messages * 3);
    for (const [name, { pid }] of Object.entries(processes))
      note(`drain ${name}`, (residentSize(pid)?.largest ?? Number.NaN) / MEGABYTE);
    await service.stop();
    sink.close();
    tell(`round ${round + 1}: idle ${all.toFixed(2)} % of a core`);
  }
  const figures = ["api", "dispatcher", "reporter"].flatMap((name): Figure[] => [
    { what: `${name}, at rest`, values: values[`rest ${name}`] ?? [], unit: "MB" },
    {
      what: `${name}, at most while ${messages * 3} messages go through`,
      values: values[`drain ${name}`] ?? [],
      unit: "MB",
    },
    { what: `${name}, CPU of an idle minute`, values: values[`idle ${name}`] ?? [], unit: "% of a core" },
  ]);
  figures.push({
    what: "all three, CPU of an idle minute",
    values: values["idle all"] ?? [],
    unit: "% of a core",
    wanted: { atMost: 1 },
  });
  return { name: "memory", about: "resident memory and idle CPU of the three processes", figures };
}
