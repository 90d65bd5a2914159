import assert from "node:assert/strict";
import test from "node:test";
import parsePrometheusText from "parse-prometheus-text-format";
import { apiClient } from "../support/api-client.ts";
import { eventually } from "../support/eventually.ts";
import { aMessage } from "../support/messages.ts";
import type { Proc } from "../support/processes.ts";
import { startService } from "../support/service.ts";

type Family = ReturnType<typeof parsePrometheusText>[number];

/** What contract §7 asks of each. */
const everyProcess = [
  "asyncmail_build_info",
  "asyncmail_busy_retries_total",
  "asyncmail_busy_wait_seconds_total",
  "process_cpu_seconds_total",
  "nodejs_eventloop_lag_seconds",
];
const wanted: Record<Proc["kind"], string[]> = {
  api: [
    "asyncmail_sent_total",
    "asyncmail_errors_total",
    "asyncmail_deferred_total",
    "asyncmail_rate_limited_total",
    "asyncmail_pending_messages",
    "asyncmail_oldest_due_seconds",
    "asyncmail_reports_waiting",
    "asyncmail_account_held",
    "asyncmail_account_limit_left",
    "asyncmail_processes",
    "asyncmail_wal_bytes",
  ],
  dispatcher: [
    "asyncmail_accept_to_sent_seconds",
    "asyncmail_smtp_session_seconds",
    "asyncmail_attempts_total",
    "asyncmail_partly_refused_total",
    "asyncmail_attachments_total",
    "asyncmail_compose_queue",
    "asyncmail_compose_seconds",
  ],
  reporter: [
    "asyncmail_reports_posted_total",
    "asyncmail_reports_failed_total",
    "asyncmail_reports_set_aside_total",
    "asyncmail_report_age_seconds",
  ],
};

test("each process exports its metrics, and a Prometheus parser reads them", async (t) => {
  const service = await startService({ env: { METRICS_TOKEN: "metrics-token" } });
  await service.api.addMessages(aMessage());
  await service.smtp.received(1);
  await service.client.reports(1);
  const { api, dispatchers, reporter } = service.processes;

  for (const proc of [api, ...dispatchers, reporter])
    await t.test(proc.kind, async () => {
      const url = await proc.listening();
      const refused = await apiClient(url, "wrong").get("/metrics");
      assert.equal(refused.status, 401);
      for (const token of ["metrics-token", "test-token"]) {
        const answer = await apiClient(url, token).get("/metrics");
        assert.equal(answer.status, 200);
        assert.match(answer.headers.get("content-type") ?? "", /^text\/plain/);
        const families = parse(answer.text);
        for (const name of [...everyProcess, ...wanted[proc.kind]]) assert.ok(families.has(name), name);
        for (const family of families.values()) assertGoodNaming(family);
      }
    });

  await t.test("the api counts what the queue did", async () => {
    const families = await eventually(async () => {
      const found = parse((await service.api.get("/metrics")).text);
      return countOf(found, "asyncmail_sent_total", "default") === 1 && found;
    });
    assert.equal(countOf(families, "asyncmail_errors_total", "default"), 0);
    assert.equal(countOf(families, "asyncmail_deferred_total", "default"), 0);
    assert.equal(countOf(families, "asyncmail_rate_limited_total", "default"), 0);
    assert.equal(Number(families.get("asyncmail_pending_messages")?.metrics[0]?.value), 0);
  });
  assert.deepEqual(await service.stop(), [0, 0, 0]);
});

function parse(text: string): Map<string, Family> {
  const families = parsePrometheusText(text);
  assert.ok(families.length > 10, "a handful of metrics at least");
  return new Map(families.map((family) => [family.name, family]));
}

function countOf(families: Map<string, Family>, name: string, account: string): number {
  return Number(families.get(name)?.metrics.find((one) => one.labels?.account_id === account)?.value);
}

function assertGoodNaming({ name, type, help, metrics }: Family): void {
  if (!name.startsWith("asyncmail_")) return;
  assert.notEqual(help, "", name);
  if (type === "COUNTER") assert.match(name, /_total$/);
  assert.doesNotMatch(name, /_(ms|milliseconds|minutes|kb|mb)$/, "base units only");
  for (const { labels = {} } of metrics)
    for (const value of Object.values(labels))
      assert.doesNotMatch(value, /@|message-/, `${name}: no address, no message id`);
}
