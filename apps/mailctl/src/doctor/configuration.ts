import type { LoadedConfig } from "@async-mail/runtime/config";
import { FaultyConfiguration } from "../configuration.ts";
import type { Deps } from "../deps.ts";
import { type Finding, note, ok, problem } from "./finding.ts";

const CHECK = "configuration";

/** Null: it cannot be used, and nothing else can be looked at. */
export function checkConfiguration(deps: Pick<Deps, "configuration">): {
  loaded: LoadedConfig | null;
  findings: Finding[];
} {
  try {
    const loaded = deps.configuration();
    const where = loaded.file ?? "no file: the environment and the defaults";
    return { loaded, findings: [ok(CHECK, where), ...loaded.warnings.map((warning) => note(CHECK, warning))] };
  } catch (error) {
    if (!(error instanceof FaultyConfiguration)) throw error;
    const todo = "mend it there; no process starts with it (npm run api -- --check shows the same)";
    return { loaded: null, findings: error.faults.map((fault) => problem(CHECK, fault, todo)) };
  }
}
