/**
 * Plays every fault of a mail server that test/faults knows, side by side, against one running service, and prints what
 * must happen and what happened. About half a minute. With `--write` the table goes into docs/faults.md.
 *
 *     npm run bench:faults
 *     npm run bench:faults -- --write
 */
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { ROWS } from "../test/faults/cases.ts";
import { type CaseResult, CONFIG, runCase } from "../test/faults/run-case.ts";
import { faultTable, withFaultTable } from "../test/faults/table.ts";
import { startService } from "../test/support/service.ts";

const { values: options } = parseArgs({ options: { write: { type: "boolean", default: false } } });
const DOCUMENT = resolve(import.meta.dirname, "../docs/faults.md");

const service = await startService({ config: CONFIG });
const cases = ROWS.flatMap((row) => row.cases);
const played = await Promise.all(
  cases.map(async (one, index): Promise<[string, CaseResult]> => [one.name, await runCase(service, one, index)]),
);
await service.stop();

const table = faultTable(ROWS, new Map(played));
const wrong = played.filter(([, { differences }]) => differences.length > 0);
console.log(table);
console.log(`${cases.length} cases, ${wrong.length} of them wrong`);
if (options.write) writeFileSync(DOCUMENT, withFaultTable(readFileSync(DOCUMENT, "utf8"), table));
process.exitCode = wrong.length === 0 ? 0 : 1;
