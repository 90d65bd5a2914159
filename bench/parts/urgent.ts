import { setTimeout as pause } from "node:timers/promises";
import type { Part, Settings } from "../support/figures.ts";
import { batches } from "../support/mail.ts";
import { percentile, type Values } from "../support/rounds.ts";
import { startMeasured } from "../support/service.ts";
import { ownSink } from "../support/sink.ts";

const LOW = 100_000;
const HIGH = 100;
const BETWEEN_MS = 50;

/** How long an urgent message takes, from the API's 200 to the server's DATA, while a newsletter drains. */
export async function urgent({ rounds, messages, tell }: Settings): Promise<Part> {
  const low = Math.min(LOW, messages * 10);
  const same = await measured(rounds, low, tell, false);
  const other = await measured(rounds, low, tell, true);
  return {
    name: "urgent",
    about: `${HIGH} messages of high priority, one by one, while ${low} of low priority drain at full speed over 10 connections`,
    figures: [
      {
        what: "p50, on the account of the others",
        values: same.map((all) => percentile(all, 0.5)),
        unit: "ms",
        headline: true,
      },
      {
        what: "p99, on the account of the others",
        values: same.map((all) => percentile(all, 0.99)),
        unit: "ms",
        headline: true,
      },
      { what: "p50, on another account", values: other.map((all) => percentile(all, 0.5)), unit: "ms", headline: true },
      {
        what: "p99, on another account",
        values: other.map((all) => percentile(all, 0.99)),
        unit: "ms",
        headline: true,
      },
    ],
  };
}

async function measured(rounds: number, low: number, tell: Settings["tell"], apart: boolean): Promise<Values[]> {
  const all: Values[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const sink = await ownSink({ pipelining: true });
    const service = await startMeasured({ sink, config: "[delivery]\nmax_connections_per_account = 10\n" });
    const arrived = new Map<string, number>();
    let lows = 0;
    sink.onMessage = ({ recipient, dataAt }) => {
      if (recipient.startsWith("high")) arrived.set(recipient, dataAt);
      else lows += 1;
    };
    await service.addAccount("apart", sink.port);
    for (const body of batches("low", low, 1000, () => ({ priority: 3 })))
      await service.application.post(service.api, body);
    const answered = new Map<string, number>();
    for (let n = 0; n < HIGH; n += 1) {
      await pause(BETWEEN_MS);
      const [body] = batches(`high-${n}`, 1, 1, () => ({ priority: 1, ...(apart ? { account_id: "apart" } : {}) }));
      await service.application.post(service.api, body as string);
      answered.set(`high-${n}-0@example.org`, performance.timeOrigin + performance.now());
    }
    const before = lows;
    while (arrived.size < HIGH) await pause(20);
    if (before >= low) throw new Error(`all ${low} had left before the last urgent one was posted: more are wanted`);
    const waits = [...answered].map(([recipient, at]) => Math.max(0, (arrived.get(recipient) as number) - at));
    tell(
      `round ${round + 1}, ${apart ? "another account" : "the same account"}: p50 ${percentile(waits, 0.5).toFixed(1)} ms, p99 ${percentile(waits, 0.99).toFixed(1)} ms`,
    );
    all.push(waits);
    await service.kill();
    sink.close();
  }
  return all;
}
