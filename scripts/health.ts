/**
 * Whether every process of ours that runs here answers; exit code 0 or 1, and what does not. For the HEALTHCHECK of a
 * container, which has no curl and does not know which of the three it runs.
 *
 * It asks /livez and not /readyz: whoever acts on it starts the container anew, and that mends no full disk.
 */
import { readdirSync, readFileSync } from "node:fs";
import { listeningUrls } from "../libs/runtime/src/listening.ts";

/** Below the image's, which would end us without a word. */
const TIMEOUT_MS = 4000;

const faults = await Promise.all(ourProcesses().map(faultOf));
const found = faults.length === 0 ? ["no process of ours runs here"] : faults.filter((fault) => fault !== null);
for (const fault of found) console.log(fault);
process.exit(found.length === 0 ? 0 : 1);

type Ours = { kind: string; pid: number };

function ourProcesses(): Ours[] {
  return readdirSync("/proc").flatMap((name) => {
    const kind = /apps\/(api|dispatcher|reporter)\/src\/main\.ts\0/.exec(commandOf(name))?.[1];
    return kind === undefined ? [] : [{ kind, pid: Number(name) }];
  });
}

/** Nothing of what is no process, or has ended while we look. */
function commandOf(name: string): string {
  try {
    return /^\d+$/.test(name) ? readFileSync(`/proc/${name}/cmdline`, "utf8") : "";
  } catch {
    return "";
  }
}

/** null: it answers. */
async function faultOf({ kind, pid }: Ours): Promise<string | null> {
  const urls = listeningUrls(pid) ?? [];
  if (urls.length === 0) return `${kind} (process ${pid}) does not listen`;
  const answers = await Promise.all(urls.map(answers200));
  return answers.includes(true) ? null : `${kind} (process ${pid}) does not answer at ${urls.join(", ")}`;
}

async function answers200(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/livez`, { signal: AbortSignal.timeout(TIMEOUT_MS) })).ok;
  } catch {
    return false;
  }
}
