import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import type { Figure, Part, Settings } from "../support/figures.ts";
import { batches } from "../support/mail.ts";
import type { Values } from "../support/rounds.ts";
import { startMeasured } from "../support/service.ts";
import { fastestSink } from "../support/sink.ts";

const WARM_UP = 10_000;
const SAMPLE_US = 250;

type CallFrame = { functionName: string; url: string };
type Profile = {
  nodes: { id: number; callFrame: CallFrame; children?: number[] }[];
  samples: number[];
  timeDeltas: number[];
};

/** What a sample belongs to: the first of these that the innermost frames tell, from the inside out. */
const STAGES: [process: string, stage: string, tells: RegExp][] = [
  ["api", "committing", /better-sqlite3\/lib\/methods\/wrappers\.js$/],
  ["api", "parsing", /libs\/domain\/src\/|apps\/api\/src\/(body|receive)\.ts$|valibot/],
  ["api", "storing", /libs\/db\/src\/sqlite\//],
  ["api", "HTTP and the rest", /./],
  ["dispatcher", "committing", /better-sqlite3\/lib\/methods\/wrappers\.js$/],
  [
    "dispatcher",
    "composing",
    /apps\/dispatcher\/src\/(compose|composer|mime-text)[\w.]*\.ts$|nodemailer\/.*(mime|mail-composer)|piscina/,
  ],
  ["dispatcher", "claiming", /libs\/db\/src\/sqlite\/(claim|turn|due-order)\.ts$/],
  ["dispatcher", "settling", /libs\/db\/src\/sqlite\/(settle|finish|hold|limits)\.ts$/],
  [
    "dispatcher",
    "sending",
    /apps\/dispatcher\/src\/(session|transaction|relay|lane|connection|message-body|opening-step)\.ts$|nodemailer|node:net$|node:internal\/stream/,
  ],
  ["dispatcher", "the rest", /./],
  ["reporter", "reporting", /./],
];
/** Of starting, which is over when mail flows. */
const STARTING = /^node:internal\/(modules|bootstrap|main|deps|process\/esm)|^wasm:|setting-kinds|swagger/;

/** Where the CPU goes: microseconds a message of each process, by what it does. */
export async function profile({ rounds, messages, tell }: Settings): Promise<Part> {
  const stages: Record<string, Values> = Object.fromEntries(STAGES.map(([of, stage]) => [`${of}: ${stage}`, []]));
  for (let round = 0; round < Math.min(rounds, 3); round += 1) {
    const folder = temporaryFolder();
    const flags = `--cpu-prof --cpu-prof-interval=${SAMPLE_US} --cpu-prof-dir=${folder}`;
    const sink = await fastestSink();
    const config = "[delivery]\nmax_connections_per_account = 10\n";
    const service = await startMeasured({ sink, config, env: { NODE_OPTIONS: flags } });
    const all = WARM_UP + messages * 2;
    await service.deliver(batches("profiled", all, 500), all);
    const { api, reporter, dispatchers } = service.processes;
    const names = new Map([
      [api.pid, "api"],
      [reporter.pid, "reporter"],
      [dispatchers[0]!.pid, "dispatcher"],
    ]);
    await service.stop();
    sink.close();
    const sums = new Map<string, number>();
    for (const file of readdirSync(folder)) {
      const name = names.get(Number(file.split(".")[3])) ?? "";
      count(JSON.parse(readFileSync(join(folder, file), "utf8")), name, sums);
    }
    for (const stage of Object.keys(stages)) stages[stage]?.push((sums.get(stage) ?? 0) / all);
    tell(`round ${round + 1} done`);
  }
  const figures: Figure[] = Object.entries(stages).map(([what, values]) => ({ what, values, unit: "µs" }));
  return {
    name: "profile",
    about: "CPU a message, as V8's sampling profiler sees the main threads and those that compose",
    figures,
  };
}

function count({ nodes, samples, timeDeltas }: Profile, name: string, sums: Map<string, number>): void {
  const parents = new Map<number, number>();
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  for (const { id, children = [] } of nodes) for (const child of children) parents.set(child, id);
  const known = new Map<number, string | null>();
  samples.forEach((sample, i) => {
    if (!known.has(sample)) known.set(sample, stageOf(sample));
    const stage = known.get(sample);
    if (stage) sums.set(stage, (sums.get(stage) ?? 0) + (timeDeltas[i] ?? 0));
  });

  /** Null: it waits, or starts. */
  function stageOf(sample: number): string | null {
    const urls: string[] = [];
    for (let id: number | undefined = sample; id !== undefined; id = parents.get(id)) {
      const { functionName, url } = frames.get(id) as CallFrame;
      if (functionName === "(idle)" || /^atomicsWaitLoop$/.test(functionName) || STARTING.test(url)) return null;
      urls.push(url);
    }
    const own = STAGES.filter(([of]) => of === name);
    for (const url of urls) {
      const found = own.find(([, , tells]) => tells.source !== "." && tells.test(url));
      if (found) return `${found[0]}: ${found[1]}`;
    }
    const rest = own.at(-1);
    return rest ? `${rest[0]}: ${rest[1]}` : null;
  }
}
