/**
 * How fast the service is, and whether it stays so, beside what else one could use: real processes, loopback only, every
 * figure from several rounds in turn. All parts, or those that are named:
 *
 *     npm run bench
 *     npm run bench -- drain accept --rounds 5 --json bench.json
 *     npm run bench -- drain --messages 2000 --rounds 1
 *
 * `--messages`: how many are sent in a round, where a part sends a fixed number. `--stored`: how many wait, or have been
 * sent, in the part `flatness`. `--json`: all values of all rounds, in a file.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { drain } from "./parts/drain.ts";
import { isMet, type Part, table } from "./support/figures.ts";
import { machine } from "./support/machine.ts";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    messages: { type: "string", default: "10000" },
    stored: { type: "string", default: "1000000" },
    json: { type: "string" },
  },
});

const settings = {
  rounds: Number(options.rounds),
  messages: Number(options.messages),
  stored: Number(options.stored),
  tell: (text: string) => process.stderr.write(`${text}\n`),
};
const parts: Record<string, (given: typeof settings) => Promise<Part>> = { drain };

const wanted = positionals.length === 0 ? Object.keys(parts) : positionals;
const unknown = wanted.filter((name) => !(name in parts));
if (unknown.length > 0) {
  console.error(`no part is called ${unknown.join(", ")}; there are ${Object.keys(parts).join(", ")}`);
  process.exit(2);
}

console.log(`Measured on ${machine()}.`);
const measured: Part[] = [];
for (const name of wanted) {
  const part = await parts[name]!(settings);
  measured.push(part);
  console.log(`\n${part.name}: ${part.about}\n\n${table(part)}`);
  if (options.json !== undefined)
    writeFileSync(options.json, JSON.stringify({ machine: machine(), parts: measured }, null, 2));
}
const missed = measured.flatMap(({ name, figures }) =>
  figures.filter((one) => isMet(one) === false).map((one) => `${name}: ${one.what}`),
);
console.log(missed.length === 0 ? "\nall that was wanted is met" : `\nmissed:\n${missed.join("\n")}`);
process.exit(0);
