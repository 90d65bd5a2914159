/**
 * Plays every misbehaviour of a web server and of an S3 server that test/file-faults knows, one after another, against one
 * running service: real processes, real servers, loopback only. Prints what must happen and what happened, how long it
 * took from the API's 200, by how much the dispatcher's memory grew meanwhile at most, and how long a message without
 * attachments needed that was posted beside it. About a minute. With `--write` the table goes into docs/faults.md.
 *
 *     npm run bench:file-faults
 *     npm run bench:file-faults -- --write
 */
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { FILE_FAULTS } from "../test/file-faults/cases.ts";
import type { FileFault } from "../test/file-faults/file-fault.ts";
import { differences } from "../test/file-faults/judge.ts";
import { play, startStage } from "../test/file-faults/run-case.ts";
import { fileFaultTable, type TableRow, withFileFaultTable } from "../test/file-faults/table.ts";
import { forgetLargest, residentSize } from "./resident-size.ts";

const { values: options } = parseArgs({ options: { write: { type: "boolean", default: false } } });
const DOCUMENT = resolve(import.meta.dirname, "../docs/faults.md");

const stage = await startStage();
const pid = stage.service.processes.dispatchers[0]?.pid ?? 0;
const rows: TableRow[] = [];
for (const [i, fault] of FILE_FAULTS.entries()) rows.push(await measured(fault, `case-${i}`));
await stage.stop();

const table = fileFaultTable(rows);
const wrong = rows.filter(({ fault, played }) => differences(fault.expected, played).length > 0);
console.log(table);
console.log(`${rows.length} cases, ${wrong.length} of them wrong`);
if (options.write) writeFileSync(DOCUMENT, withFileFaultTable(readFileSync(DOCUMENT, "utf8"), table));
process.exitCode = wrong.length === 0 ? 0 : 1;

async function measured(fault: FileFault, id: string): Promise<TableRow> {
  forgetLargest(pid);
  const before = residentSize(pid);
  const played = await play(stage, fault, id);
  const after = residentSize(pid);
  return { fault, played, grownBytes: before && after && Math.max(0, after.largest - before.now) };
}
