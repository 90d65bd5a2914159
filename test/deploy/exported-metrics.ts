import type { Service } from "../support/service.ts";

/** What Prometheus gets to know of a metric: its labels, with all values seen. By the names of samples, as queries have them. */
export type Exported = Map<string, Map<string, Set<string>>>;

/** All that the processes of a service export now, with the labels that Prometheus adds of itself. */
export async function exportedBy({ processes: { api, dispatchers, reporter } }: Service): Promise<Exported> {
  const found: Exported = new Map();
  for (const proc of [api, ...dispatchers, reporter]) {
    const url = await proc.listening();
    const answer = await fetch(new URL("/metrics", url), { headers: { "x-api-token": "test-token" } });
    if (answer.status !== 200) throw new Error(`${proc.kind}: ${answer.status}`);
    readSamples(await answer.text(), found);
  }
  for (const labels of found.values()) for (const label of ["job", "instance"]) labels.set(label, new Set());
  return found;
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

function readSamples(text: string, found: Exported): void {
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const [, name, labels = ""] = SAMPLE.exec(line) ?? [];
    if (name === undefined) throw new Error(`no sample: ${line}`);
    const known = found.get(name) ?? new Map<string, Set<string>>();
    found.set(name, known);
    for (const [, label = "", value = ""] of labels.matchAll(LABEL))
      known.set(label, (known.get(label) ?? new Set()).add(value));
  }
}
