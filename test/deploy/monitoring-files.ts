import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { ROOT } from "../support/processes.ts";

export const PROMETHEUS = join(ROOT, "deploy/prometheus");

export type Alert = {
  alert: string;
  expr: string;
  for?: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
};

type ExpectedAlert = { exp_labels: Record<string, string>; exp_annotations: Record<string, string> };
export type AlertCase = { eval_time: string; alertname: string; exp_alerts: ExpectedAlert[] };

/** One question of a dashboard to Prometheus. */
export type Query = {
  /** Dashboard, panel and letter, for people. */
  where: string;
  expr: string;
  /** With `{{label}}` in it. */
  legend: string;
};

export function readAlerts(): Alert[] {
  const { groups } = parse(readFileSync(join(PROMETHEUS, "alerts.yml"), "utf8")) as { groups: { rules: Alert[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

export function readAlertCases(): AlertCase[] {
  type Tests = { tests: { alert_rule_test: AlertCase[] }[] };
  const { tests } = parse(readFileSync(join(PROMETHEUS, "alerts.test.yml"), "utf8")) as Tests;
  return tests.flatMap(({ alert_rule_test }) => alert_rule_test);
}

type Target = { refId: string; expr: string; legendFormat: string; datasource: DataSource };
type DataSource = { type: string; uid: string };
export type Panel = {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  datasource?: DataSource;
  targets?: Target[];
};
export type Variable = { name: string; type: string; query: string | { query: string } };
export type Dashboard = {
  uid: string;
  title: string;
  schemaVersion: number;
  panels: Panel[];
  templating: { list: Variable[] };
  annotations: { list: { name: string; expr?: string; textFormat?: string }[] };
};

export function readDashboards(): Dashboard[] {
  const files = globSync("deploy/grafana/dashboards/*.json", { cwd: ROOT }).sort();
  return files.map((file) => JSON.parse(readFileSync(join(ROOT, file), "utf8")));
}

/** Of its panels, of its annotations, and of those of its variables that ask Prometheus. */
export function queriesOf({ title, panels, templating, annotations }: Dashboard): Query[] {
  const ofPanels = panels.flatMap((panel) =>
    (panel.targets ?? []).map(({ refId, expr, legendFormat: legend }) => {
      return { where: `${title}: ${panel.title} ${refId}`, expr, legend };
    }),
  );
  const ofAnnotations = annotations.list.flatMap(({ name, expr, textFormat = "" }) =>
    expr === undefined ? [] : [{ where: `${title}: annotation ${name}`, expr, legend: textFormat }],
  );
  const ofVariables = templating.list.flatMap(({ name, query }) => {
    if (typeof query === "string") return [];
    return [{ where: `${title}: variable ${name}`, ...valuesAskedBy(query.query) }];
  });
  return [...ofPanels, ...ofAnnotations, ...ofVariables];
}

/** `label_values(expr, label)` and `query_result(expr)` are Grafana's own words. */
function valuesAskedBy(query: string): Pick<Query, "expr" | "legend"> {
  const [, expr, label] = /^label_values\((.*), *(\w+)\)$/.exec(query) ?? [];
  if (expr !== undefined) return { expr, legend: `{{${label}}}` };
  return { expr: /^query_result\((.*)\)$/.exec(query)?.[1] ?? query, legend: "" };
}

export type Choice = { job: string; tenant?: string; account?: string; instance?: string; rate: string };

/** As Grafana puts the chosen values in; All is `.*`. */
export function withChoice(
  expr: string,
  { job, tenant = ".*", account = ".*", instance = ".*", rate }: Choice,
): string {
  return expr
    .replaceAll(/\$\{tenant:pipe\}/g, tenant)
    .replaceAll("$account", account)
    .replaceAll("$instance", instance)
    .replaceAll("$job", job)
    .replaceAll("$__rate_interval", rate);
}
