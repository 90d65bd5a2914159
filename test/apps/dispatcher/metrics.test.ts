import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { boundedLabels, dispatcherMetrics } from "@async-mail/dispatcher/metrics";
import { createMetrics } from "@async-mail/runtime/metrics";

describe("labels", () => {
  it("are the first values, then one for all others", () => {
    const label = boundedLabels(2);
    assert.deepEqual(["a", "b", "c", "a", "d"].map(label), ["a", "b", "_others", "a", "_others"]);
  });
});

describe("what is only known by asking", () => {
  it("is a gauge as it was last seen, and a counter as it stands at each scrape", async () => {
    const measured = createMetrics({ process: "dispatcher", version: "0" });
    let retries = 5;
    const { look } = dispatcherMetrics(measured, () => ({ retries, ms: 1500 }));
    look(3);
    assert.match(await measured.registry.metrics(), /^asyncmail_busy_retries_total 5$/m);
    look(1);
    retries = 7;
    const text = await measured.registry.metrics();
    assert.match(text, /^asyncmail_compose_queue 1$/m);
    assert.match(text, /^asyncmail_busy_retries_total 7$/m);
    assert.match(text, /^asyncmail_busy_wait_seconds_total 1.5$/m);
  });
});
