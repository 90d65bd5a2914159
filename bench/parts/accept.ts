import { startApplication } from "../support/application.ts";
import type { Figure, Part, Settings } from "../support/figures.ts";
import { batches } from "../support/mail.ts";
import { secondsOf, startRival } from "../support/rival.ts";
import { inTurn, percentile, ratios, type Values } from "../support/rounds.ts";
import { startApi } from "../support/service.ts";

const BATCH = 500;
/** Batches come from so many connections at a time: while one is stored, the next is read. */
const BATCH_CONNECTIONS = 4;
const SINGLE_CONNECTIONS = 32;
const WARM_UP = 4000;

type Synced = "full" | "normal";

/** How fast messages are taken, each answer given after a sync to disk, and the same without one. */
export async function accept({ rounds, messages, tell }: Settings): Promise<Part> {
  const many = messages * 3;
  const waits: Record<string, Values> = {};
  const took = (name: string) => {
    waits[name] ??= [];
    return waits[name];
  };
  const ours = (synchronous: Synced, size: number, connections: number) => async () => {
    const api = await startApi(`[storage]\nsynchronous = ${synchronous}\n`);
    const rate = await posted(api.url, size === 1 ? messages : many, size, connections, took(`${size} ${synchronous}`));
    await api.stop();
    return rate;
  };
  const bare =
    (synchronous: Synced, batch = BATCH) =>
    async () =>
      many /
      (await secondsOf("sqlite-loop.ts", [
        "--messages",
        `${many}`,
        "--batch",
        `${batch}`,
        "--synchronous",
        synchronous,
      ]));
  const rates = await inTurn(
    rounds,
    {
      "batches, full": ours("full", BATCH, BATCH_CONNECTIONS),
      "bare loop, full": bare("full"),
      "single, full": ours("full", 1, SINGLE_CONNECTIONS),
      "bare handler": () => ofHono(messages),
      "bare loop, 32": bare("full", SINGLE_CONNECTIONS),
      "batches, normal": ours("normal", BATCH, BATCH_CONNECTIONS),
      "bare loop, normal": bare("normal"),
      "single, normal": ours("normal", 1, SINGLE_CONNECTIONS),
    },
    tell,
  );
  const rate = (what: string, name: keyof typeof rates): Figure => ({ what, values: rates[name], unit: "messages/s" });
  const ratio = (of: keyof typeof rates, to: keyof typeof rates, wanted?: { atLeast: number }): Figure => ({
    what: `of what is taken by the ${to}`,
    values: ratios(rates[of], rates[to]),
    unit: "",
    ...(wanted ? { wanted } : {}),
  });
  const p99 = (what: string, name: string): Figure => ({ what, values: [percentile(took(name), 0.99)], unit: "ms" });
  return {
    name: "accept",
    about: `messages of 1 KB to the API alone; batches of ${BATCH} from ${BATCH_CONNECTIONS} connections, single ones from ${SINGLE_CONNECTIONS}`,
    figures: [
      rate("bare better-sqlite3 loop, a sync for each 500", "bare loop, full"),
      { ...rate("batches, synced", "batches, full"), headline: true },
      ratio("batches, full", "bare loop, full", { atLeast: 0.4 }),
      p99("p99 of a batch's answer", `${BATCH} full`),
      rate("bare Hono handler that parses and forgets, single messages", "bare handler"),
      { ...rate("single messages, synced", "single, full"), headline: true },
      ratio("single, full", "bare handler", { atLeast: 0.5 }),
      p99("p99 of a single message's answer", "1 full"),
      rate("bare better-sqlite3 loop, a sync for each 32, as the connections allow", "bare loop, 32"),
      {
        what: "of what that loop and the bare handler could do in turns on one core",
        values: ratios(rates["single, full"], inTurns(rates["bare handler"], rates["bare loop, 32"])),
        unit: "",
        headline: true,
      },
      rate("bare better-sqlite3 loop, no sync", "bare loop, normal"),
      rate("batches, not synced", "batches, normal"),
      ratio("batches, normal", "bare loop, normal"),
      rate("single messages, not synced", "single, normal"),
      ratio("single, normal", "bare handler"),
      p99("p99 of a single message's answer, not synced", "1 normal"),
    ],
  };
}

/** What one thread could do that has to do both for each message. */
function inTurns(one: Values, other: Values): Values {
  return one.map((rate, round) => 1 / (1 / rate + 1 / (other[round] ?? Number.NaN)));
}

async function ofHono(messages: number): Promise<number> {
  const rival = startRival("hono-discard.ts");
  const rate = await posted(await rival.line(), messages, 1, SINGLE_CONNECTIONS, []);
  rival.end();
  return rate;
}

/** Messages a second; `waits` gets the milliseconds of each answer. */
async function posted(
  url: string,
  messages: number,
  size: number,
  connections: number,
  waits: Values,
): Promise<number> {
  const application = await startApplication();
  await postAll(batches("warm-up", WARM_UP, size));
  const bodies = batches("measured", messages, size);
  const startedMs = performance.now();
  await postAll(bodies, waits);
  const seconds = (performance.now() - startedMs) / 1000;
  await application.close();
  return messages / seconds;

  async function postAll(all: string[], times: Values = []): Promise<void> {
    let next = 0;
    const poster = async () => {
      for (let body = all[next++]; body !== undefined; body = all[next++]) {
        const askedMs = performance.now();
        await application.post(url, body);
        times.push(performance.now() - askedMs);
      }
    };
    await Promise.all(Array.from({ length: connections }, poster));
  }
}
