import { setTimeout as pause } from "node:timers/promises";
import type { Service } from "../test/support/service.ts";
import type { SmtpServer } from "../test/support/smtp-server.ts";

export type OneByOne = {
  service: Service;
  /** Where they arrive. */
  smtp: SmtpServer;
  name: string;
  count: number;
  /** Between two, give or take a quarter, so that they are not in step with anything that recurs. */
  pauseMs: number;
  /** Fields of each message. */
  message?: object;
};

/** Posts messages one by one; answers the milliseconds from the API's 200 to the mail server's DATA, of each. */
export async function latenciesOf({ service, smtp, name, count, pauseMs, message }: OneByOne): Promise<number[]> {
  const latencies: number[] = [];
  for (let i = 0; i < count; i += 1) {
    await pause(pauseMs * (0.75 + Math.random() / 2));
    const id = `${name}-${i}`;
    const { status } = await service.api.addMessages({ ...plainMessage(id), ...message });
    const answeredAt = performance.timeOrigin + performance.now();
    if (status !== 200) throw new Error(`the API answered ${status}`);
    latencies.push(Math.max(0, (await arrival(smtp, id)) - answeredAt));
  }
  return latencies;
}

export function plainMessage(id: string) {
  return { id, from: "sender@example.com", to: `${id}@example.org`, subject: id, body: "How long did this take?" };
}

export function tellLatencies(name: string, latencies: number[]): void {
  const ms = (share: number) => percentile(latencies, share).toFixed(1);
  console.log(`${name}: p50 ${ms(0.5)} ms, p99 ${ms(0.99)} ms, max ${ms(1)} ms, of ${latencies.length} messages`);
}

export function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
}

async function arrival(smtp: SmtpServer, id: string): Promise<number> {
  const deadline = performance.now() + 30_000;
  while (performance.now() < deadline) {
    const found = smtp.messages.findLast((one) => one.to.includes(`${id}@example.org`));
    if (found) return found.dataAt;
    await pause(2);
  }
  throw new Error(`${id} did not arrive within 30 s`);
}
