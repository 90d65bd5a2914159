/**
 * How fast the service is, and whether it stays so, beside what else one could use: real processes, loopback only, every
 * figure from several rounds in turn. All parts, or those that are named:
 *
 *     npm run bench
 *     npm run bench -- drain accept --rounds 5 --json bench.json
 *     npm run bench -- drain --messages 2000 --rounds 1
 *
 * `--messages`: how many are sent in a round, where a part sends a fixed number. `--stored`: how many wait, or have been
 * sent, in the part `flatness`. `--json`: all values of all rounds, in a file. `--write`: into bench/results.json,
 * bench/RESULTS.md and the README, which keep what other parts measured before.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { accept } from "./parts/accept.ts";
import { dispatchers } from "./parts/dispatchers.ts";
import { distance } from "./parts/distance.ts";
import { drain } from "./parts/drain.ts";
import { flatness } from "./parts/flatness.ts";
import { memory } from "./parts/memory.ts";
import { profile } from "./parts/profile.ts";
import { tenants } from "./parts/tenants.ts";
import { urgent } from "./parts/urgent.ts";
import { isMet, type Part, type Settings, table } from "./support/figures.ts";
import { machine } from "./support/machine.ts";
import { type Results, writeResults } from "./support/results.ts";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    messages: { type: "string", default: "10000" },
    stored: { type: "string", default: "1000000" },
    json: { type: "string" },
    write: { type: "boolean", default: false },
  },
});

const settings: Settings = {
  rounds: Number(options.rounds),
  messages: Number(options.messages),
  stored: Number(options.stored),
  tell: (text: string) => process.stderr.write(`${text}\n`),
};
const parts: Record<string, (given: Settings) => Promise<Part>> = {
  drain,
  accept,
  distance,
  flatness,
  dispatchers,
  memory,
  urgent,
  tenants,
  profile,
};

const wanted = positionals.length === 0 ? Object.keys(parts) : positionals;
const unknown = wanted.filter((name) => !(name in parts));
if (unknown.length > 0) {
  console.error(`no part is called ${unknown.join(", ")}; there are ${Object.keys(parts).join(", ")}`);
  process.exit(2);
}

console.log(`Measured on ${machine()}.`);
const measured: Results = {};
for (const name of wanted) {
  const part = await parts[name]!(settings);
  measured[name] = { ...part, machine: machine() };
  console.log(`\n${part.name}: ${part.about}\n\n${table(part)}`);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(measured, null, 2)}\n`);
  if (options.write) writeResults(measured);
}
const missed = Object.values(measured).flatMap(({ name, figures }) =>
  figures.filter((one) => isMet(one) === false).map((one) => `${name}: ${one.what}`),
);
console.log(missed.length === 0 ? "\nall that was wanted is met" : `\nmissed:\n${missed.join("\n")}`);
process.exit(0);
