/**
 * The service under random load and random kills, between a mail server and a client that misbehave at random; then
 * everybody's books are compared. The seed of a failed run decides the same again:
 *
 *     npm run test:crash -- --rounds 100
 *     npm run test:crash -- --rounds 100 --seed 12345
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { crashRun } from "./crash-run.ts";

const { values } = parseArgs({
  // pnpm hands the separator on.
  args: process.argv.slice(2).filter((one) => one !== "--"),
  options: { rounds: { type: "string", default: "25" }, seed: { type: "string" } },
});
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) {
  console.error(`--rounds ${values.rounds}: wanted a number from 1`);
  process.exit(1);
}
const seed = values.seed ?? String(randomInt(1_000_000));
console.log(`crash test: ${rounds} rounds, seed ${seed}`);
const { ok, text } = await crashRun({ rounds, seed, say: (line) => console.log(line) });
console.log(`\n${text}`);
process.exit(ok ? 0 : 1);
