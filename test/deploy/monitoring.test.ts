import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { ROOT } from "../support/processes.ts";
import { type BusyService, startBusyService } from "./every-outcome.ts";
import { type Exported, exportedBy } from "./exported-metrics.ts";
import { PROMETHEUS, queriesOf, readAlertCases, readAlerts, readDashboards, withChoice } from "./monitoring-files.ts";
import { readQuery } from "./promql.ts";

/** Alerts, dashboards and runbook against the metrics that the processes really export, and against one another. */

const alerts = readAlerts();
const dashboards = readDashboards();

// biome-ignore lint/suspicious/noTemplateCurlyInString: as Grafana writes a variable.
const DATA_SOURCE = "${datasource}";

/** What the queries ask for by value must have happened before it can be held against them. */
const HAPPENED: [string, string, string][] = [
  ["asyncmail_attempts_total", "outcome", "held"],
  ["asyncmail_attempts_total", "outcome", "deferred"],
  ["asyncmail_attempts_total", "outcome", "error"],
  ["asyncmail_attempts_total", "tenant_id", "shop"],
  ["asyncmail_partly_refused_total", "tenant_id", "shop"],
  ["asyncmail_attachments_total", "outcome", "failed"],
  ["asyncmail_report_call_seconds_count", "outcome", "failed"],
  ["asyncmail_report_call_seconds_count", "outcome", "acknowledged"],
  ["asyncmail_account_limit_left", "limit", "per_minute"],
  ["asyncmail_sent_total", "tenant_id", "shop"],
  ["asyncmail_rejected_total", "reason", "missing subject"],
];

describe("queries", () => {
  let busy: BusyService;
  let exported: Exported;

  before(async () => {
    busy = await startBusyService();
    await busy.post();
    exported = await eventually(async () => {
      const found = await exportedBy(busy.service);
      return HAPPENED.every(([name, label, value]) => found.get(name)?.get(label)?.has(value)) && found;
    }, 30_000);
    const ofAlerts = ["alertname", "alertstate", ...alerts.flatMap(({ labels }) => Object.keys(labels))];
    exported.set("up", new Map(["job", "instance"].map((label) => [label, new Set()])));
    // Its labels are those of the alerts' queries too, below.
    for (const { expr } of alerts) ofAlerts.push(...readQuery(expr, exported).labels);
    exported.set("ALERTS", new Map(ofAlerts.map((label) => [label, new Set()])));
  });
  after(() => busy.stop());

  for (const { alert, expr, annotations } of alerts)
    it(`of ${alert} ask for what is exported, and its words for labels that it has`, () => {
      const { faults, labels } = readQuery(expr, exported);
      assert.deepEqual(faults, []);
      const named = Object.values(annotations).flatMap((text) => [...text.matchAll(/\$labels\.(\w+)/g)]);
      for (const [, label = ""] of named) assert.ok(labels.has(label), `$labels.${label}`);
    });

  for (const dashboard of dashboards)
    it(`of the dashboard ${dashboard.title} ask for what is exported, and its legends for labels that they have`, () => {
      const queries = queriesOf(dashboard);
      assert.ok(queries.length > 50, "a dashboard's worth");
      for (const { where, expr, legend } of queries) {
        const { faults, labels } = readQuery(withChoice(expr, { job: "async-mail", rate: "1m" }), exported);
        assert.deepEqual(faults, [], where);
        for (const [, label = ""] of legend.matchAll(/\{\{(\w+)\}\}/g))
          assert.ok(labels.has(label), `${where}: ${label}`);
      }
    });

  it("are read strictly: what is not exported is found", () => {
    const wrong: [string, RegExp][] = [
      ["rate(asyncmail_snet_total[5m])", /no process exports asyncmail_snet_total/],
      ["asyncmail_sent_total{acount_id='x'}", /has no label acount_id/],
      ['asyncmail_attempts_total{outcome="lost"}', /never seen with outcome="lost"/],
      ["sum by (tenant) (asyncmail_sent_total)", /nothing has the label tenant/],
      ["sum by (job) (asyncmail_sent_total) and on (account_id) asyncmail_account_held", /the label account_id/],
      ["histogram_quantile(0.5, sum by (job) (asyncmail_accept_to_sent_seconds_bucket))", /the label le/],
      ["max by (job) (asyncmail_pending_messages", /not PromQL/],
    ];
    for (const [query, fault] of wrong) assert.match(readQuery(query, exported).faults.join(), fault, query);
  });
});

describe("alerts", () => {
  for (const { alert, labels, annotations } of alerts)
    it(`${alert} says how severe it is, what is the matter, and where to read on`, () => {
      assert.match(alert, /^AsyncMail[A-Z]\w+$/);
      assert.ok(["critical", "warning"].includes(labels.severity ?? ""), alert);
      assert.deepEqual(Object.keys(annotations).sort(), ["description", "runbook_url", "summary"]);
      assert.equal(annotations.runbook_url, `docs/runbook.md#${alert.toLowerCase()}`);
      assert.doesNotMatch(annotations.summary ?? "", /\.$/);
    });

  it("have a case each in which they fire, and more in which they do not, afterwards too", () => {
    const cases = Map.groupBy(readAlertCases(), ({ alertname }) => alertname);
    assert.deepEqual([...cases.keys()].sort(), alerts.map(({ alert }) => alert).sort());
    for (const [alert, ofIt] of cases) {
      const counts = ofIt.map(({ exp_alerts }) => exp_alerts.length);
      assert.equal(counts[0], 0, `${alert}: at first it does not fire`);
      assert.ok(
        counts.some((count, index) => count > (counts[index + 1] ?? count)),
        `${alert}: it ends`,
      );
      for (const { exp_labels, exp_annotations } of ofIt.flatMap(({ exp_alerts }) => exp_alerts)) {
        assert.ok(exp_labels.severity, alert);
        assert.ok(exp_annotations.description, alert);
      }
    }
  });
});

describe("the runbook", () => {
  const sections = readFileSync(join(ROOT, "docs/runbook.md"), "utf8").split(/^## /m).slice(1);

  it("has a paragraph on each alert, and on nothing else", () => {
    const titles = sections.map((section) => section.split("\n", 1)[0]);
    assert.deepEqual(
      titles,
      alerts.map(({ alert }) => alert),
    );
  });

  it("says of each what it means, what users see, how to look, what to do, and when to worry", () => {
    for (const section of sections) {
      const words = [...section.matchAll(/^\*\*(Means|Users see|Look|Do|Worry)\b/gm)].map(([, word]) => word);
      assert.deepEqual(words, ["Means", "Users see", "Look", "Do", "Worry"], section);
    }
  });

  it("links to paragraphs that are there", () => {
    const anchors = new Set(alerts.map(({ alert }) => alert.toLowerCase()));
    for (const section of sections)
      for (const [, anchor = ""] of section.matchAll(/\]\(#(\w+)\)/g)) assert.ok(anchors.has(anchor), anchor);
  });
});

for (const { title, uid, panels, templating } of dashboards)
  describe(`the dashboard ${title}`, () => {
    it("takes its Prometheus from a variable, as provisioning wants it", () => {
      assert.match(uid, /^[a-z-]+$/);
      assert.deepEqual(
        templating.list.map(({ name }) => name),
        ["datasource", "job", "tenant", "account", "instance"],
      );
      for (const panel of panels.filter(({ type }) => type !== "row"))
        for (const { datasource } of [panel, ...panel.targets!])
          assert.deepEqual(datasource, { type: "prometheus", uid: DATA_SOURCE }, panel.title);
    });

    it("has panels that do not lie upon one another, with ids of their own", () => {
      assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
      const taken = new Map<string, string>();
      for (const { title: panel, gridPos } of panels) {
        assert.ok(gridPos.x + gridPos.w <= 24, panel);
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
            assert.equal(taken.get(`${x},${y}`), undefined, panel);
            taken.set(`${x},${y}`, panel);
          }
      }
    });

    it("asks first whether mail goes out", () => {
      const [row, first] = panels.toSorted(
        (one, other) => one.gridPos.y - other.gridPos.y || one.gridPos.x - other.gridPos.x,
      );
      assert.deepEqual([row?.type, row?.title], ["row", "Is mail going out? And if not, why?"]);
      assert.match(first!.targets![0]!.expr, /asyncmail_oldest_due_seconds/);
    });
  });

const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;
const skip = !hasPromtool && "promtool is not installed here (Debian: apt-get install prometheus)";
for (const args of [
  ["check", "rules", "alerts.yml"],
  ["test", "rules", "alerts.test.yml"],
])
  test(`promtool ${args.join(" ")}`, { skip }, () => {
    const { status, stdout, stderr } = spawnSync("promtool", args, { cwd: PROMETHEUS, encoding: "utf8" });
    assert.equal(status, 0, `${stdout}\n${stderr}`);
  });
