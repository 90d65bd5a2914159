import { resolve } from "node:path";
import { type ImportReport, importPythonFile } from "@async-mail/db/sqlite/import";
import { bootReading } from "@async-mail/runtime/clock";
import type { Argv } from "yargs";
import type { Deps, Global } from "./deps.ts";
import { keysOf } from "./keys.ts";
import { fields, plural, print } from "./print.ts";
import { progressBar } from "./progress.ts";
import { onTheFile } from "./storage-fault.ts";

/** Of what was changed, a person is shown so many lines. */
const MOST_SHOWN = 50;

/** What the Python service left, into a new file. */
export function importCommand(yargs: Argv<Global>, deps: Deps): Argv<Global> {
  return yargs.command(
    "import <old-file>",
    "On this machine: take over the file of the Python service into a new one at storage.db_path",
    (one) => one.positional("old-file", { type: "string", demandOption: true, describe: "It is only read" }),
    async (args) => {
      const { storage, delivery, s3, attachments, sandbox } = deps.configuration().config;
      const bar = progressBar(deps, "importing");
      const options = {
        open: {
          path: storage.dbPath,
          synchronous: storage.synchronous,
          sandbox,
          keys: keysOf(deps, storage),
          boot: bootReading(),
        },
        parse: {
          defaultPriority: delivery.defaultPriority,
          newMessageId: (domain: string) => `<${deps.newId()}@${domain}>`,
          s3Allow: s3.allow,
          maxAttachmentBytes: attachments.maxBytes,
          tenantS3: null,
          endpoint: false,
        },
        now: deps.nowAt,
        progress: bar.move,
      };
      const report = await onTheFile(() => importPythonFile(resolve(args.oldFile), options)).finally(bar.stop);
      print(deps, args, { ok: true, database: storage.dbPath, ...report }, () => reportText(report, storage.dbPath));
    },
  );
}

function reportText(report: ImportReport, dbPath: string): string {
  const { messages, changes, byDefaultAccount } = report;
  const counts = fields([
    ["database", dbPath],
    ["accounts", report.accounts],
    ["rules", report.rules],
    ["waiting", messages.waiting],
    ["deferred", messages.deferred],
    ["sent", messages.sent],
    ["errors", messages.errors],
    ["to report", report.unreported],
    ["sends of the last day", report.sends],
  ]);
  const notes =
    changes.length === 0 ? ["Nothing was changed."] : ["What was changed:", ...changes.slice(0, MOST_SHOWN)];
  if (changes.length > MOST_SHOWN) notes.push(`and ${changes.length - MOST_SHOWN} more: --json names all`);
  if (byDefaultAccount > 0)
    notes.push(
      `${plural(byDefaultAccount, "unsent message")} without an account: they go out by that of [smtp], and wait until it is configured`,
    );
  return [counts, "", ...notes, "", "The old file is as it was. Start the processes: what is unsent goes out."].join(
    "\n",
  );
}
