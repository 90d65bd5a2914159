/**
 * Whether deploy/ is of use in earnest: the real processes, two dispatchers among them, a real Prometheus that scrapes
 * them with the alerts loaded, mail of every outcome, a restart, and then every query of every dashboard, as Grafana
 * would ask it. Prints for each what came back, and fails where nothing did. Three quarters of a minute; wants
 * `prometheus` on the PATH (Debian: apt-get install prometheus):
 *
 *     npm run bench:monitoring
 *     npm run bench:monitoring -- --seconds 60
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { freePort } from "../test/crash/free-port.ts";
import { type BusyService, startBusyService } from "../test/deploy/every-outcome.ts";
import { type Choice, PROMETHEUS, queriesOf, readDashboards, withChoice } from "../test/deploy/monitoring-files.ts";
import { eventually } from "../test/support/eventually.ts";
import { temporaryFolder } from "../test/support/temporary-folder.ts";

const { values: options } = parseArgs({ options: { seconds: { type: "string", default: "30" } } });
/** A round of mail so often; Prometheus looks twice as often. */
const ROUND_MS = 2000;
const RATE = "15s";
const JOB = "async-mail";

type Series = { metric: Record<string, string>; value?: [number, string]; values?: [number, string][] };
type Outcome = { series: number; last: string; fault?: string };

if (spawnSync("prometheus", ["--version"]).status !== 0) {
  console.error("prometheus is not on the PATH (Debian: apt-get install prometheus)");
  process.exit(2);
}
// Where they are started again, they are the same targets.
const port = await freePort();
const env = { PORT: String(port), METRICS_PORT: String(port + 1) };
const busy = await startBusyService({ dispatchers: 2, env });
const prometheus = await startPrometheus(busy);
let faults = 0;
try {
  await postFor(Number(options.seconds) * 500);
  // Counters begin anew.
  await busy.service.restart();
  await postFor(Number(options.seconds) * 500);
  await checkTargets();
  await checkRules();
  await checkQueries({ job: JOB, rate: RATE }, "all tenants, accounts and processes", true);
  // Its series have no tenant_id: the variable's value has to find them all the same.
  await checkQueries({ job: JOB, rate: RATE, tenant: "default|" }, "the tenant default alone");
  await checkQueries({ job: JOB, rate: RATE, tenant: "shop" }, "the tenant shop alone");
  await printAlerts();
} finally {
  prometheus.child.kill("SIGTERM");
  await once(prometheus.child, "exit");
  await busy.stop();
}
console.log(faults === 0 ? "\nall of it returned data" : `\n${faults} returned none`);
process.exitCode = faults === 0 ? 0 : 1;

async function startPrometheus({ service }: BusyService): Promise<{ url: string; child: ChildProcess }> {
  const { api, dispatchers, reporter } = service.processes;
  const urls = await Promise.all([api, ...dispatchers, reporter].map((proc) => proc.listening()));
  const folder = temporaryFolder();
  const config = {
    global: { scrape_interval: "1s", evaluation_interval: "1s" },
    rule_files: [join(PROMETHEUS, "alerts.yml")],
    scrape_configs: [
      {
        job_name: JOB,
        authorization: { credentials: "test-token" },
        static_configs: [{ targets: urls.map((url) => new URL(url).host) }],
      },
    ],
  };
  // JSON is YAML.
  writeFileSync(join(folder, "prometheus.yml"), JSON.stringify(config));
  const address = `127.0.0.1:${await freePort()}`;
  const log = openSync(join(folder, "log"), "w");
  const args = [
    `--config.file=${join(folder, "prometheus.yml")}`,
    `--storage.tsdb.path=${join(folder, "data")}`,
    `--web.listen-address=${address}`,
  ];
  const child = spawn("prometheus", args, { stdio: ["ignore", log, log] });
  process.on("exit", () => child.kill("SIGKILL"));
  const url = `http://${address}`;
  await eventually(async () => (await fetch(`${url}/-/ready`)).ok, 20_000, "Prometheus");
  return { url, child };
}

async function postFor(ms: number): Promise<void> {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs) {
    await busy.post();
    await pause(ROUND_MS);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: its answers are looked into freely.
async function ask(path: string, query: Record<string, string> = {}): Promise<any> {
  const response = await fetch(`${prometheus.url}/api/v1/${path}?${new URLSearchParams(query)}`);
  const answer = (await response.json()) as { status: string; error?: string; data: unknown };
  if (answer.status !== "success") throw new Error(answer.error);
  return answer.data;
}

async function checkTargets(): Promise<void> {
  const { activeTargets } = await ask("targets");
  for (const { scrapeUrl, health, lastError } of activeTargets) {
    console.log(`${health.padEnd(5)} ${scrapeUrl} ${lastError}`);
    if (health !== "up") faults += 1;
  }
}

/** A rule that cannot be evaluated has a healthy syntax all the same. */
async function checkRules(): Promise<void> {
  const { groups } = await ask("rules");
  const rules = groups.flatMap((group: { rules: object[] }) => group.rules);
  const sick = rules.filter(({ health }: { health: string }) => health !== "ok");
  console.log(`${rules.length} alerts, ${sick.length} that cannot be evaluated`);
  for (const { name, health, lastError } of sick) console.log(`  ${name}: ${health} ${lastError}`);
  faults += sick.length;
}

async function checkQueries(choice: Choice, name: string, all = false): Promise<void> {
  const queries = readDashboards().flatMap(queriesOf);
  console.log(`\n${queries.length} queries, ${name}`);
  const before = faults;
  for (const { where, expr } of queries) {
    const { series, last, fault } = await outcomeOf(withChoice(expr, choice));
    const empty = series === 0;
    if (all || empty) console.log(`${empty ? "NONE" : "ok  "} ${where}: ${fault ?? `${series} series, ${last}`}`);
    if (empty) faults += 1;
  }
  if (faults === before) console.log("each returned data");
}

/** Series with a number in them, over the last while. */
async function outcomeOf(query: string): Promise<Outcome> {
  const now = (await ask("query", { query: "time()" })).result[0];
  const window = { start: String(now - 20), end: String(now), step: "1" };
  try {
    const { result } = (await ask("query_range", { query, ...window })) as { result: Series[] };
    const numbers = result.map(({ values = [] }) => values.map(([, value]) => Number(value)).filter(Number.isFinite));
    const found = numbers.filter((one) => one.length > 0);
    return { series: found.length, last: `one of them ${found[0]?.at(-1)}` };
  } catch (error) {
    return { series: 0, last: "", fault: (error as Error).message };
  }
}

async function printAlerts(): Promise<void> {
  const { alerts } = await ask("alerts");
  console.log(`\n${alerts.length} alerts pending or firing`);
  for (const { state, labels, annotations } of alerts)
    console.log(`  ${state} ${labels.alertname} (${labels.severity}): ${annotations.description}`);
}
