import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type LoadedConfig, loadConfig } from "@async-mail/runtime/config";
import { ConfigError, faultText } from "@async-mail/runtime/config-fault";
import { environmentNames } from "@async-mail/runtime/settings";
import { Refused } from "./faults.ts";

type Environment = Record<string, string | undefined>;

/** As in scripts/start.ts: what of the configuration decides that `npm start` runs no sandbox. */
const DECIDING = ["storage", "smtp", "sync"];
const SANDBOX_FILE = "data/sandbox.db";

/** It cannot be used; `faults` are all that is wrong with it. */
export class FaultyConfiguration extends Refused {
  override name = "FaultyConfiguration";
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`the configuration cannot be used: ${faults.join("; ")}`);
    this.faults = faults;
  }
}

/** As the processes on this machine read it. Throws FaultyConfiguration. */
export function readConfiguration(env: Environment, cwd: string): LoadedConfig {
  try {
    return loadConfig({ argv: [], env: withSandbox(env, cwd), cwd });
  } catch (error) {
    if (error instanceof ConfigError) throw new FaultyConfiguration(error.faults.map(faultText));
    throw error;
  }
}

/** Where nothing is configured, the sandbox of `npm start` is what runs here, if anything does. */
export function withSandbox(env: Environment, cwd: string): Environment {
  const configured = environmentNames(DECIDING).some((name) => env[name]) || existsSync(resolve(cwd, "config.ini"));
  const file = resolve(cwd, SANDBOX_FILE);
  if (configured || !existsSync(file)) return env;
  return { ...env, DB_PATH: file, ASYNC_MAIL_SANDBOX: "1" };
}
