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
  it("is a gauge as it is, and a counter that grows by the difference", async () => {
    const measured = createMetrics({ process: "dispatcher", version: "0" });
    const { look } = dispatcherMetrics(measured);
    look(3, 5);
    look(1, 7);
    const text = await measured.registry.metrics();
    assert.match(text, /^asyncmail_compose_queue 1$/m);
    assert.match(text, /^asyncmail_busy_retries_total 7$/m);
  });
});
