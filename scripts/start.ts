/** `npm start`: the three processes, and around them the sandbox where nothing is configured yet. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { environmentNames } from "@async-mail/runtime/settings";
import { startSandbox } from "../test/sandbox/sandbox.ts";
import { runProcesses } from "./process-group.ts";

const KINDS = ["api", "dispatcher", "reporter"] as const;
/** Where mail is kept, where it goes and who hears of it. Others, such as HOST or AWS_REGION, are set in many a shell. */
const DECIDING = ["storage", "smtp", "sync"];
const root = resolve(import.meta.dirname, "..");
/** Both only for the sandbox, which no setting can reach. */
const options = readOptions();

const configuration = whatConfigures();
if (configuration === null) process.exitCode = await runSandbox(options.port, resolve(root, options.folder));
else await runConfigured(configuration);

function readOptions(): { port: number; folder: string } {
  try {
    const { values } = parseArgs({
      options: { port: { type: "string", default: "8000" }, folder: { type: "string", default: "data" } },
    });
    const port = Number(values.port);
    if (!(Number.isInteger(port) && port >= 0 && port <= 65_535)) throw new Error(`--port ${values.port}: not a port`);
    return { port, folder: values.folder };
  } catch (error) {
    console.error(`npm start: ${(error as Error).message} (known: --port N, --folder F)`);
    process.exit(1);
  }
}

/** The file or the variables that say how to run; null when there are none. */
function whatConfigures(): string | null {
  const set = environmentNames(DECIDING).filter((name) => process.env[name]);
  if (set.length > 0) return set.join(", ");
  return existsSync(resolve(root, "config.ini")) ? "config.ini" : null;
}

async function runConfigured(configuration: string): Promise<void> {
  console.error(`Configured by ${configuration}; mail goes where that says. (The sandbox starts only without any.)`);
  await import("./all.ts");
}

async function runSandbox(port: number, folder: string): Promise<number> {
  const sandbox = await startSandbox({ folder, port, terminal: process.stdout.isTTY, tell: console.log });
  if (sandbox === null) return 1;
  const group = runProcesses({
    kinds: KINDS,
    root,
    env: { ...process.env, ...sandbox.env },
    print: sandbox.read,
    tell: console.error,
  });
  const code = await group.ended;
  await sandbox.close();
  return code;
}
