import assert from "node:assert/strict";
import test from "node:test";
import { whyNotReady } from "@async-mail/runtime/readiness";

const well = { stopping: new AbortController().signal, stands: () => true, checkWritable: async () => {} };

test("a process is ready when it stands, is not stopping and its file takes writes", async () => {
  assert.equal(await whyNotReady(well), null);
  assert.equal(await whyNotReady({ ...well, stopping: AbortSignal.abort() }), "draining");
  assert.match((await whyNotReady({ ...well, stands: () => false }))!, /not taken a write/);
  const checkWritable = () => Promise.reject(new Error("database or disk is full"));
  assert.equal(await whyNotReady({ ...well, checkWritable }), "database or disk is full");
});
