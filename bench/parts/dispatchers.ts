import type { Figure, Part, Settings } from "../support/figures.ts";
import { batches } from "../support/mail.ts";
import { inTurn, ratios, type Values } from "../support/rounds.ts";
import { type Measured, startMeasured } from "../support/service.ts";
import { fastestSink, ownSink, type Sink } from "../support/sink.ts";

const COUNTS = [1, 2, 3, 4];
const WARM_UP = 4000;
const FAR_CONNECTIONS = 20;
const NEAR_CONNECTIONS = 40;
/** Of each dispatcher. */
const FAR_MESSAGES = 800;

type Place = "near" | "far";

/** How the rate grows with dispatchers on one file, and what they lose by waiting for one another. */
export async function dispatchers({ rounds, messages, tell }: Settings): Promise<Part> {
  const lost: Record<string, Values> = {};
  const contenders: Record<string, () => Promise<number>> = {};
  for (const place of ["near", "far"] as const)
    for (const count of COUNTS) contenders[`${place} ${count}`] = () => rateOf(place, count, messages * 2, lost);
  const rates = await inTurn(rounds, contenders, tell);
  const figures = (["near", "far"] as const).flatMap((place) =>
    COUNTS.flatMap((count): Figure[] => {
      const name = `${place} ${count}`;
      const values = rates[name] ?? [];
      const several = count > 1;
      return [
        { what: `${count} ${several ? "dispatchers" : "dispatcher"}, ${ABOUT[place]}`, values, unit: "messages/s" },
        ...(several ? [{ what: "times one", values: ratios(values, rates[`${place} 1`] ?? []), unit: "" }] : []),
        { what: "share of their time in which a transaction waited", values: lost[name] ?? [], unit: "" },
      ];
    }),
  );
  return { name: "dispatchers", about: "1 to 4 dispatchers on one file and two cores, one account", figures };
}

const ABOUT: Record<Place, string> = {
  near: `a local relay, ${NEAR_CONNECTIONS} connections in all`,
  far: `a relay 50 ms away without PIPELINING, ${FAR_CONNECTIONS} connections each`,
};

async function rateOf(place: Place, count: number, near: number, lost: Record<string, Values>): Promise<number> {
  const sink: Sink = place === "near" ? await fastestSink() : await ownSink({ roundTripMs: 50 });
  const connections = place === "near" ? NEAR_CONNECTIONS : FAR_CONNECTIONS * count;
  const config = `[delivery]\nmax_connections_per_account = ${connections}\n`;
  const service = await startMeasured({ sink, dispatchers: count, config });
  const messages = place === "near" ? near : FAR_MESSAGES * count;
  await service.deliver(
    batches("warm-up", place === "near" ? WARM_UP : connections * 4, 500),
    place === "near" ? WARM_UP : connections * 4,
  );
  await service.suspend();
  for (const body of batches("measured", messages, 500)) await service.application.post(service.api, body);
  const waitedBefore = await waitedSeconds(service);
  const reported = service.application.untilReported(service.application.reported() + messages);
  const startedMs = performance.now();
  await service.activate();
  await reported;
  const seconds = (performance.now() - startedMs) / 1000;
  const waited = (await waitedSeconds(service)) - waitedBefore;
  const name = `${place} ${count}`;
  lost[name] ??= [];
  lost[name].push(waited / seconds / count);
  await service.stop();
  sink.close();
  return messages / seconds;
}

/** Of all dispatchers together. */
async function waitedSeconds({ processes }: Measured): Promise<number> {
  const all = await Promise.all(
    processes.dispatchers.map(async (one) => {
      const answer = await fetch(`${await one.listening()}/metrics`, { headers: { "x-api-token": "test-token" } });
      return Number(/^asyncmail_busy_wait_seconds_total (.*)$/m.exec(await answer.text())?.[1]);
    }),
  );
  return all.reduce((sum, one) => sum + one, 0);
}
