import assert from "node:assert/strict";
import test from "node:test";
import { createMetrics } from "@async-mail/runtime/metrics";
import { readMetrics } from "./prometheus.ts";

test("metrics carry the prefix, their labels and their help", async () => {
  const metrics = createMetrics({ process: "dispatcher", version: "1.2.3" });
  metrics.counter("sent_total", "Messages sent", ["account_id"]).inc({ account_id: "default" }, 2);
  metrics.gauge("pending_messages", "Not yet final").set(7);
  metrics.histogram("smtp_session_seconds", "Of one message", [0.1, 1]).observe(0.5);
  const read = readMetrics(await metrics.registry.metrics());

  const sent = read.get("asyncmail_sent_total")!;
  assert.deepEqual([sent.type, sent.help], ["COUNTER", "Messages sent"]);
  assert.deepEqual(sent.metrics, [{ value: "2", labels: { account_id: "default" } }]);
  assert.equal(read.get("asyncmail_pending_messages")!.metrics[0]!.value, "7");
  assert.equal(read.get("asyncmail_smtp_session_seconds")!.type, "HISTOGRAM");
  const build = read.get("asyncmail_build_info")!.metrics[0]!;
  assert.deepEqual(build, { value: "1", labels: { process: "dispatcher", version: "1.2.3", node: process.version } });
  assert.ok(read.has("process_cpu_seconds_total"));
  assert.ok(read.has("nodejs_eventloop_lag_p99_seconds"));
});

test("two registries stand beside one another", async () => {
  createMetrics({ process: "api", version: "1" }).counter("x_total", "x").inc();
  const other = createMetrics({ process: "reporter", version: "1" });
  assert.doesNotMatch(await other.registry.metrics(), /asyncmail_x_total/);
});
