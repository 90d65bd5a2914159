/** The three processes side by side, as the configuration says: `npm start` with one, and the container image by itself. */
import { resolve } from "node:path";
import { printer } from "./log-lines.ts";
import { runProcesses } from "./process-group.ts";

// With it the processes would keep mail instead of sending it: only the sandbox may set it.
const { ASYNC_MAIL_SANDBOX: _, ...env } = process.env;

process.exitCode = await runProcesses({
  kinds: ["api", "dispatcher", "reporter"],
  root: resolve(import.meta.dirname, ".."),
  env,
  print: printer(process.stdout),
  tell: console.error,
}).ended;
