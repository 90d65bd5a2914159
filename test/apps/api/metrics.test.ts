import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { createApiMetrics } from "@async-mail/api/metrics";
import type { ServiceCounts } from "@async-mail/db/store";
import parsePrometheus from "parse-prometheus-text-format";
import { aMessage, anAccount } from "../../support/messages.ts";
import { REFUSED, type RunningApi, SENT, startApi } from "./running-api.ts";

type Sample = { value?: string; labels?: Record<string, string>; buckets?: Record<string, string>; count?: string };
type Family = { name: string; type: string; metrics: Sample[] };

let running: RunningApi;
before(async () => {
  running = await startApi();
});
after(() => running.stop());

async function scrape(): Promise<Map<string, Family>> {
  const { status, text, headers } = await running.api.get("/metrics");
  assert.equal(status, 200);
  assert.match(headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  return familiesOf(text);
}

function familiesOf(text: string): Map<string, Family> {
  return new Map((parsePrometheus(text) as Family[]).map((family) => [family.name, family]));
}

function sampleOf(
  families: Map<string, Family>,
  name: string,
  labels: Record<string, string> = {},
): number | undefined {
  const found = families
    .get(name)
    ?.metrics.find((sample) => Object.entries(labels).every(([label, value]) => sample.labels?.[label] === value));
  return found && Number(found.value);
}

const perAccount = [
  "asyncmail_sent_total",
  "asyncmail_errors_total",
  "asyncmail_deferred_total",
  "asyncmail_rate_limited_total",
];

test("the counters are there at 0 from the start, for the account default", async () => {
  const bare = await startApi({ env: { SMTP_HOST: "", SMTP_PORT: "" } });
  const families = familiesOf((await bare.api.get("/metrics")).text);
  for (const name of perAccount) {
    assert.equal(families.get(name)?.type, "COUNTER", name);
    assert.equal(sampleOf(families, name, { account_id: "default" }), 0, name);
  }
  assert.equal(sampleOf(families, "asyncmail_pending_messages"), 0);
  await bare.stop();
});

test("what the database knows is exported", async () => {
  await running.api.post("/account", anAccount({ id: "limited", limit_per_hour: 10 }));
  await running.api.addMessages(
    aMessage({ id: "m-sent" }),
    aMessage({ id: "m-error", account_id: "limited" }),
    aMessage({ id: "m-waiting" }),
    aMessage({ id: "m-later", deferred_ts: Math.floor(running.clock.now().wallMs / 1000) + 60 }),
    {},
  );
  await running.settle("m-sent", SENT);
  await running.settle("m-error", REFUSED);
  await running.api.post("/account/limited/hold");

  const families = await scrape();
  assert.equal(sampleOf(families, "asyncmail_sent_total", { account_id: "default" }), 1);
  assert.equal(sampleOf(families, "asyncmail_errors_total", { account_id: "limited" }), 1);
  assert.equal(sampleOf(families, "asyncmail_errors_total", { account_id: "default" }), 0);
  assert.equal(sampleOf(families, "asyncmail_pending_messages"), 2);
  assert.equal(sampleOf(families, "asyncmail_account_pending_messages", { account_id: "default" }), 2);
  assert.equal(sampleOf(families, "asyncmail_account_held", { account_id: "limited" }), 1);
  assert.equal(sampleOf(families, "asyncmail_account_held", { account_id: "default" }), 0);
  assert.ok(sampleOf(families, "asyncmail_account_limit_left", { account_id: "limited", limit: "per_hour" })! <= 10);
  assert.equal(sampleOf(families, "asyncmail_account_limit_left", { account_id: "default" }), undefined);
  assert.ok(sampleOf(families, "asyncmail_oldest_due_seconds")! >= 0);
  assert.equal(sampleOf(families, "asyncmail_processes", { kind: "api" }), 1);
  assert.equal(sampleOf(families, "asyncmail_reports_waiting"), 2);
  assert.ok(sampleOf(families, "asyncmail_oldest_report_seconds")! >= 0);
  assert.ok(sampleOf(families, "asyncmail_wal_bytes")! > 0);
  assert.ok(sampleOf(families, "asyncmail_database_bytes")! > 0);
  assert.equal(sampleOf(families, "asyncmail_database_up"), 1);
  assert.ok(sampleOf(families, "asyncmail_busy_retries_total")! >= 0);
  assert.equal(sampleOf(families, "asyncmail_build_info", { process: "api" }), 1);
});

test("what was counted is the same at the next scrape", async () => {
  await running.api.addMessages(aMessage({ id: "counted" }));
  await running.settle("counted", SENT);
  const first = sampleOf(await scrape(), "asyncmail_sent_total", { account_id: "default" });
  assert.ok(first! > 0);
  assert.equal(sampleOf(await scrape(), "asyncmail_sent_total", { account_id: "default" }), first);
});

test("requests are counted and timed by route, never by path", async () => {
  await running.api.get("/messages/some-id-of-a-client");
  await running.api.get("/some/path/of/a/scanner");
  await running.api.addMessages(aMessage({ from: undefined }));
  const families = await scrape();
  const requests = "asyncmail_http_requests_total";
  assert.ok(sampleOf(families, requests, { method: "GET", route: "/messages/:id", status: "404" })! >= 1);
  assert.ok(sampleOf(families, requests, { route: "none", status: "404" })! >= 1);
  assert.ok(sampleOf(families, requests, { route: "/commands/add-messages", status: "400" })! >= 1);
  assert.ok(sampleOf(families, "asyncmail_rejected_total", { reason: "missing from" })! >= 1);
  assert.ok(sampleOf(families, "asyncmail_enqueued_total")! >= 4);
  const { text } = await running.api.get("/metrics");
  assert.match(text, /^asyncmail_http_request_seconds_count\{route="\/messages\/:id"\} [1-9]/m);
  for (const secret of ["some-id-of-a-client", "scanner", "example.org", "m-waiting"])
    assert.equal(text.includes(secret), false, secret);
});

test("beyond 200 accounts the rest shares a label, and sums stay right", async () => {
  const account = (accountId: string): ServiceCounts["accounts"][number] => ({
    tenantId: "default",
    accountId,
    pending: 1,
    sent: 2,
    errors: 0,
    deferred: 0,
    rateLimited: 0,
    held: false,
    slowed: false,
    left: { perMinute: 1, perHour: null, perDay: null, recipientsPerDay: null },
  });
  const counts: ServiceCounts = {
    accounts: [...Array.from({ length: 1000 }, (_, i) => account(`account-${i}`)), account("default")],
    tenants: [],
    reportsWaiting: 0,
    oldestReportMs: 0,
    oldestDueMs: 0,
    processes: { api: 1, dispatcher: 0, reporter: 0 },
    walBytes: 0,
    databaseBytes: 0,
    diskFreeBytes: 0,
    active: true,
  };
  const { text } = await createApiMetrics("0", () => ({ retries: 0, ms: 0 })).scrape({ counts, stall: null });
  const families = familiesOf(text);
  const sent = families.get("asyncmail_sent_total")?.metrics ?? [];
  assert.equal(sent.length, 201);
  assert.equal(
    sent.reduce((sum, { value }) => sum + Number(value), 0),
    2002,
  );
  assert.equal(sampleOf(families, "asyncmail_sent_total", { account_id: "default" }), 2);
  assert.equal(sampleOf(families, "asyncmail_pending_messages"), 1001);
});
