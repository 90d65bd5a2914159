import type { Inspection } from "@async-mail/db/sqlite/inspect";
import type { Config } from "@async-mail/runtime/config";
import type { Argv } from "yargs";
import type { Deps, Global } from "./deps.ts";
import { checkAccounts } from "./doctor/accounts.ts";
import { checkClients } from "./doctor/clients.ts";
import { checkConfiguration } from "./doctor/configuration.ts";
import { checkDatabase, checkDisk } from "./doctor/database.ts";
import { type Finding, skipped } from "./doctor/finding.ts";
import { checkMail } from "./doctor/mail.ts";
import { checkApi, checkProcesses } from "./doctor/processes.ts";
import { Refused, WrongUsage } from "./faults.ts";
import { keysOf } from "./keys.ts";
import { oneLine, plural, print } from "./print.ts";

/** Looks for what keeps mail from going out, on the machine where the service runs. */
export function doctorCommand(yargs: Argv<Global>, deps: Deps): Argv<Global> {
  return yargs.command(
    "doctor",
    "On this machine: look for what keeps mail from going out, and say what to do about it",
    (one) => one.option("timeout", { type: "number", default: 10, describe: "Seconds for each thing that is asked" }),
    async (args) => {
      if (!(args.timeout > 0)) throw new WrongUsage(`--timeout ${args.timeout}: wanted seconds above 0`);
      const findings = await examine(deps, args, args.timeout * 1000);
      const problems = findings.filter(({ state }) => state === "problem").length;
      print(deps, args, { ok: problems === 0, findings }, () => findings.map(lineOf).join("\n"));
      if (problems > 0) throw new Refused(`${plural(problems, "problem")} found`);
    },
  );
}

async function examine(deps: Deps, given: Global, timeoutMs: number): Promise<Finding[]> {
  const { loaded, findings } = checkConfiguration(deps);
  if (loaded === null) return [...findings, skipped("all else", "what to look at is in the configuration")];
  const { config } = loaded;
  const { file, findings: ofDatabase } = await checkDatabase(config, keysOf(deps, config.storage));
  const api = await deps.api(given);
  const { usable, findings: ofApi } = await checkApi(api, timeoutMs);
  const before = [...findings, ...ofDatabase, ...checkDisk(config.storage.dbPath), ...ofApi];
  if (file === null) return [...before, skipped("all else", "what to look at is in the database")];
  try {
    return [...before, ...(await examineMail(deps, config, file, usable ? api : null, timeoutMs))];
  } finally {
    file.close();
  }
}

async function examineMail(
  deps: Deps,
  config: Config,
  file: Inspection,
  api: Awaited<ReturnType<Deps["api"]>> | null,
  timeoutMs: number,
): Promise<Finding[]> {
  const now = deps.nowAt(file.steadyOffsetMs);
  const { alive, findings } = await checkProcesses(file, config, now.wallMs, timeoutMs);
  const [ofAccounts, ofClients, ofMail] = await Promise.all([
    checkAccounts({ file, api: alive.dispatcher ? api : null, now, timeoutMs }),
    checkClients(file, config, now, timeoutMs),
    checkMail(file, config, now),
  ]);
  return [...findings, ...ofAccounts, ...ofClients, ...ofMail];
}

const MARKS: Record<Finding["state"], string> = { ok: "ok", note: "note", problem: "PROBLEM", skipped: "skipped" };

function lineOf({ state, check, text, todo }: Finding): string {
  const line = `${MARKS[state].padEnd(8)} ${check.padEnd(13)} ${oneLine(text)}`;
  return todo === undefined ? line : `${line}\n${" ".repeat(23)}-> ${oneLine(todo)}`;
}
