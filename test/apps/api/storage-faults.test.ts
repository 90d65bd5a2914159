import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import test from "node:test";
import Database from "better-sqlite3";
import { eventually } from "../../support/eventually.ts";
import { aMessage } from "../../support/messages.ts";
import { anApp } from "./an-app.ts";
import { startApi } from "./running-api.ts";

test("a file locked for longer than a call waits is a 503 with Retry-After, and nothing is lost or written", async () => {
  const running = await startApi();
  const other = new Database(join(running.proc.folder, "mail.db"));
  other.exec("BEGIN IMMEDIATE");
  const refused = await running.api.addMessages(aMessage({ id: "while-locked" }));
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.equal(refused.body.ok, false);
  assert.equal("rejected" in refused.body, false);
  assert.equal((await running.api.get("/messages/while-locked")).status, 404, "readers do not wait");

  other.exec("ROLLBACK");
  other.close();
  assert.equal((await running.api.addMessages(aMessage({ id: "while-locked" }))).body.queued, 1);
  await running.stop();
});

test("a full disk is a 503 and not ready; what was accepted is still served, and room makes all good again", async () => {
  const running = await startApi({ config: "[delivery]\nlease_seconds = 2\n" });
  await running.api.addMessages(aMessage({ id: "before" }));
  // The system refuses to let its files grow, as a full disk would.
  const limitFiles = (size: string) => execFileSync("prlimit", ["--pid", String(running.proc.pid), `--fsize=${size}`]);
  limitFiles("1:unlimited");

  const refused = await running.api.addMessages(aMessage({ id: "no-room" }));
  assert.equal(refused.status, 503, refused.text);
  assert.ok(Number(refused.headers.get("retry-after")) > 0);
  assert.equal("rejected" in refused.body, false);
  assert.equal((await running.api.post("/commands/suspend")).status, 503);
  await eventually(async () => (await running.api.get("/readyz")).status === 503, 3000, "not ready");
  assert.equal((await running.api.get("/livez")).status, 200);
  assert.equal((await running.api.get("/messages/before")).status, 200);
  assert.equal((await running.api.get("/metrics")).status, 200);

  limitFiles("unlimited");
  await eventually(async () => (await running.api.get("/readyz")).status === 200, 3000, "ready");
  assert.equal((await running.api.addMessages(aMessage({ id: "no-room" }))).body.queued, 1);
  assert.equal((await running.api.get("/status")).body.active, true);
  await running.stop();
});

test("a bug is a 500 that says nothing; the log has the rest", async () => {
  const lines: string[] = [];
  const { app, close } = await anApp(lines);
  const incoming = { incoming: { headers: { "x-api-token": "secret" } } };
  // A verb called after its store was closed is a bug of ours.
  await close();
  const answer = await app.request("/status", {}, incoming);
  assert.equal(answer.status, 500);
  assert.deepEqual(await answer.json(), { ok: false, error: "Internal Server Error", detail: "Internal Server Error" });
  const logged = lines.map((line) => JSON.parse(line)).find(({ event }) => event === "failed");
  assert.equal(logged.what, "GET /status");
  assert.ok(logged.stack);

  // A scrape tells most when something is wrong.
  const metrics = await app.request("/metrics", {}, incoming);
  assert.equal(metrics.status, 200);
  const text = await metrics.text();
  assert.match(text, /^asyncmail_database_up 0$/m);
  assert.match(text, /^asyncmail_http_requests_total\{method="GET",route="\/status",status="500"\} 1$/m);
});
