import yargs, { type Argv } from "yargs";
import { accountCommands } from "./accounts.ts";
import { backupCommand } from "./backup.ts";
import type { Deps, Global } from "./deps.ts";
import { doctorCommand } from "./doctor.ts";
import { CommandFault, WrongUsage } from "./faults.ts";
import { importCommand } from "./import.ts";
import { withStdin } from "./input.ts";
import { messageCommands } from "./messages.ts";
import { restoreCommand } from "./restore.ts";
import { rotateKeyCommand } from "./rotate-key.ts";
import { ruleCommands } from "./rules.ts";
import { sendCommand } from "./send.ts";
import { serviceCommands } from "./service.ts";
import { tenantCommands } from "./tenants.ts";

/** Runs what the arguments say; answers the exit code. Only bugs are thrown. */
export async function run(argv: string[], deps: Deps, version: string): Promise<number> {
  try {
    await commandLine(withStdin(argv), deps, version).parseAsync();
    return 0;
  } catch (error) {
    const fault = faultOf(error);
    deps.tell(`mailctl: ${fault.message}`);
    return fault.exitCode;
  }
}

function commandLine(argv: string[], deps: Deps, version: string): Argv<Global> {
  const base = yargs(argv)
    .scriptName("mailctl")
    .usage("$0 <command>\n\nSends, shows and repairs, from a terminal or a script.")
    .locale("en")
    .version(version)
    .parserConfiguration({ "greedy-arrays": false })
    .options(globalOptions)
    .wrap(100)
    .exitProcess(false)
    .fail(fail)
    .strict()
    .check(refuseMisread)
    .demandCommand(1, "wanted: a command; mailctl --help names them")
    .recommendCommands()
    .completion("completion", "Print a script that completes these commands in bash or zsh")
    .epilogue(
      "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the service cannot be reached.\n" +
        "Address and token come from --url and --token-file, else MAILCTL_URL and MAILCTL_TOKEN, else the configuration that the processes read.",
    );
  const commands = [
    sendCommand,
    messageCommands,
    accountCommands,
    serviceCommands,
    ruleCommands,
    tenantCommands,
    backupCommand,
    restoreCommand,
    importCommand,
    rotateKeyCommand,
    doctorCommand,
  ];
  return commands.reduce((all, add) => add(all, deps), base as Argv<Global>);
}

const globalOptions = {
  url: { type: "string", describe: "Where the API is, as http://host:port", global: true },
  "token-file": { type: "string", describe: "Holds the API token, or a tenant's key", global: true },
  token: { type: "string", describe: "The same in an argument, which others on the machine can read", global: true },
  json: { type: "boolean", default: false, describe: "The answer as JSON", global: true },
} as const;

/** Throws what is none. */
function faultOf(error: unknown): CommandFault {
  if (error instanceof CommandFault) return error;
  // What an option's own check throws, yargs throws anew as its own.
  if (error instanceof Error && error.name === "YError") return new WrongUsage(error.message);
  throw error;
}

/** Of these there may be several; yargs makes a list of any option that is given twice. */
const SEVERAL = ["_", "to", "cc", "bcc", "reply-to", "replyTo", "attach", "s3-prefix", "s3Prefix", "ids"];

/** yargs takes any text for a number, and JSON would make null of what came of it. */
function refuseMisread(args: Record<string, unknown>): true {
  for (const [option, value] of Object.entries(args)) {
    if (Number.isNaN(value)) throw new WrongUsage(`--${option}: wanted a number`);
    if (Array.isArray(value) && !SEVERAL.includes(option)) throw new WrongUsage(`--${option}: wanted once`);
  }
  return true;
}

/** yargs' own words are about how a command is written; what a command throws is passed on as it is. */
function fail(message: string | null, error: Error | undefined): never {
  throw error ?? new WrongUsage(message ?? "wrong usage");
}
