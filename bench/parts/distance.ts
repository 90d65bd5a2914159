import type { Figure, Part, Settings } from "../support/figures.ts";
import { batches } from "../support/mail.ts";
import { inTurn } from "../support/rounds.ts";
import { startMeasured } from "../support/service.ts";
import { ownSink } from "../support/sink.ts";

const ROUND_TRIP_MS = 50;
/** How long each measurement takes, at the ideal. */
const SECONDS = 6;
/** On each connection: the first also wait for the connection itself, and the pace of the account is not known yet. */
const SETTLED_AFTER = 20;

type Case = { connections: number; pipelining: boolean };

const CASES: Case[] = [
  { connections: 5, pipelining: false },
  { connections: 20, pipelining: false },
  { connections: 5, pipelining: true },
  { connections: 20, pipelining: true },
];

/** A relay that is far away: as many messages as its round trips let through. */
export async function distance({ rounds, tell }: Settings): Promise<Part> {
  const contenders = Object.fromEntries(CASES.map((one) => [nameOf(one), () => rateOf(one)]));
  const rates = await inTurn(rounds, contenders, tell);
  const figures = CASES.flatMap((one): Figure[] => {
    const values = rates[nameOf(one)] ?? [];
    const most = ideal(one);
    return [
      { what: nameOf(one), values, unit: "messages/s" },
      {
        what: `of the ideal ${most}, with`,
        of: 1,
        values: values.map((rate) => rate / most),
        unit: "",
        wanted: { atLeast: 0.95 },
      },
    ];
  });
  return { name: "distance", about: `a relay with a round trip of ${ROUND_TRIP_MS} ms, one account`, figures };
}

function nameOf({ connections, pipelining }: Case): string {
  return `${connections} connections, ${pipelining ? "PIPELINING: 1 round trip a message" : "4 round trips a message"}`;
}

/** MAIL, RCPT, DATA and the final dot; with PIPELINING the next message's three go out with the dot. */
function ideal({ connections, pipelining }: Case): number {
  return (connections * 1000) / ((pipelining ? 1 : 4) * ROUND_TRIP_MS);
}

async function rateOf(one: Case): Promise<number> {
  const { connections, pipelining } = one;
  const first = pipelining ? connections * SETTLED_AFTER : connections;
  const count = Math.ceil(ideal(one) * SECONDS) + first;
  const sink = await ownSink({ roundTripMs: ROUND_TRIP_MS, pipelining });
  const service = await startMeasured({ sink, config: `[delivery]\nmax_connections_per_account = ${connections}\n` });
  const takenMs: number[] = [];
  sink.onMessage = ({ dataAt }) => takenMs.push(dataAt);
  await service.deliver(batches("far", count, 500), count);
  await service.stop();
  sink.close();
  // From the last of one wave to the last of all: as many periods as there are waves between.
  const [firstMs, lastMs] = [takenMs[first - 1] as number, takenMs.at(-1) as number];
  return ((takenMs.length - first) * 1000) / (lastMs - firstMs);
}
