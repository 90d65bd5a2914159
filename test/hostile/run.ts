/**
 * Messages of a hostile client, parsed, composed and read again by another reader; prints what became of them:
 *
 *     npm run test:hostile -- --cases 100000
 *     npm run test:hostile -- --cases 100000 --seed 12345
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { createComposer } from "@async-mail/dispatcher/composer";
import { hostileRun } from "./hostile-run.ts";

const { values } = parseArgs({
  // pnpm hands the separator on.
  args: process.argv.slice(2).filter((one) => one !== "--"),
  options: { cases: { type: "string", default: "100000" }, seed: { type: "string" } },
});
const cases = Number(values.cases);
if (!Number.isInteger(cases) || cases < 1) {
  console.error(`--cases ${values.cases}: wanted a number from 1`);
  process.exit(1);
}
const seed = Number(values.seed ?? randomInt(1_000_000));
console.log(`hostile input: ${cases} cases, seed ${seed}`);
const composer = createComposer({ threads: 2, onError: (error) => console.error(error) });
const { accepted, refused, failure } = await hostileRun(composer, cases, seed);
await composer.close();
console.log(`\naccepted and read again: ${accepted}`);
console.log(`refused: ${[...refused.values()].reduce((sum, count) => sum + count, 0)}`);
const byCount = [...refused].toSorted(([, a], [, b]) => b - a);
for (const [reason, count] of byCount) console.log(`${String(count).padStart(8)}  ${reason}`);
console.log(failure === null ? "\nno failure" : `\n${failure}`);
process.exit(failure === null ? 0 : 1);
