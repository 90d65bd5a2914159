import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { AccountViewSchema } from "@async-mail/api/account-view";
import { isoTime } from "@async-mail/runtime/clock";
import { eventually } from "../../support/eventually.ts";
import { aMessage, anAccount } from "../../support/messages.ts";
import { type RunningApi, startApi } from "./running-api.ts";

const TAKER = { process: 1, maxConnectionsPerAccount: 5 };

const DAY_MS = 86_400_000;

let running: RunningApi;
before(async () => {
  running = await startApi({ env: { SMTP_USER: "u", SMTP_PASSWORD: "configured-word" } });
});
after(() => running.stop());

const put = (account: object) => running.api.post("/account", account);
const show = async (id: string) => (await running.api.get(`/account/${id}`)).body;

test("an account is put, shown without its password, listed, replaced and deleted", async () => {
  const put1 = await put({
    id: "full",
    host: "smtp.example.com",
    user: "u",
    password: "secret-word",
    limit_per_minute: 5,
    limit_per_day: 0,
  });
  assert.deepEqual([put1.status, put1.body], [200, { ok: true }]);

  const { status, text, body } = await running.api.get("/account/full");
  assert.equal(status, 200);
  assert.equal(text.includes("secret-word"), false);
  const { created_at, updated_at, ...fields } = body;
  assert.match(created_at, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.match(updated_at, /Z$/);
  assert.deepEqual(fields, {
    ok: true,
    id: "full",
    host: "smtp.example.com",
    port: 587,
    user: "u",
    has_password: true,
    security: "opportunistic",
    ttl: 300,
    limit_per_minute: 5,
    limit_behavior: "defer",
    state: "ready",
    left: { per_minute: 5 },
    pending: 0,
    in_flight: 0,
  });

  const list = (await running.api.get("/accounts")).body;
  assert.equal(list.ok, true);
  assert.deepEqual(list.accounts.map(({ id }: { id: string }) => id).sort(), ["default", "full"]);
  assert.equal(JSON.stringify(list).includes("secret-word"), false);

  await put({ id: "full", host: "smtp.example.com", user: "u", limit_behavior: "reject" });
  const replaced = await show("full");
  assert.equal(replaced.limit_behavior, "reject");
  assert.equal("limit_per_minute" in replaced, false);

  assert.deepEqual((await running.api.delete("/account/full")).body, { ok: true });
  assert.equal((await running.api.get("/account/full")).status, 404);
  assert.deepEqual((await running.api.delete("/account/full")).body, { ok: true });
});

const passwordCases: { name: string; change: object; wanted: string | null; has: boolean }[] = [
  { name: "nothing else changes", change: {}, wanted: null, has: true },
  { name: "a limit changes", change: { limit_per_hour: 3 }, wanted: null, has: true },
  { name: "null stands for absent", change: { password: null }, wanted: null, has: true },
  { name: "it is emptied", change: { password: "" }, wanted: null, has: false },
  { name: "the host changes", change: { host: "elsewhere.example.com" }, wanted: "host", has: true },
  { name: "the port changes", change: { port: 2500 }, wanted: "port", has: true },
  { name: "the user changes", change: { user: "other" }, wanted: "user", has: true },
  { name: "the security changes", change: { security: "starttls" }, wanted: "security", has: true },
  {
    name: "the host changes and it is given",
    change: { host: "h2.example.com", password: "new" },
    wanted: null,
    has: true,
  },
];
for (const [i, { name, change, wanted, has }] of passwordCases.entries()) {
  test(`a stored password, when ${name}: ${wanted ? "wanted again" : has ? "kept" : "removed"}`, async () => {
    const base = { id: `password-${i}`, host: "h.example.com", port: 25, user: "u", security: "none" };
    await put({ ...base, password: "old" });
    const { status, body } = await put({ ...base, ...change });
    if (wanted === null) assert.deepEqual([status, body], [200, { ok: true }]);
    else {
      assert.equal(status, 422);
      assert.equal(body.error, `password: wanted again, since ${wanted} changed`);
      assert.deepEqual(body.detail[0].loc, ["body", "password"]);
      assert.equal((await show(base.id)).host, base.host);
    }
    assert.equal((await show(base.id)).has_password, has);
  });
}

test("the configuration's account is shown, and is neither put nor deleted", async () => {
  const shown = await show("default");
  assert.deepEqual([shown.host, shown.has_password], ["127.0.0.1", true]);
  assert.equal(JSON.stringify(shown).includes("configured-word"), false);
  assert.equal((await put(anAccount({ id: "default" }))).status, 422);
  const { status, body } = await running.api.delete("/account/default");
  assert.equal(status, 422);
  assert.match(body.error, /smtp\.host/);
});

test("accounts are what the OpenAPI document says, field by field", async () => {
  await put({
    ...anAccount({ id: "every-field" }),
    use_tls: false,
    timeout: 9,
    batch_size: 3,
    max_connections: 2,
    tls_servername: "n",
  });
  await running.api.post("/account/every-field/hold", {
    reason: "look",
    until: isoTime(running.clock.now().wallMs + DAY_MS),
  });
  const { accounts } = (await running.api.get("/accounts")).body;
  for (const account of accounts)
    assert.equal((await AccountViewSchema["~standard"].validate(account)).issues, undefined);
});

test("unknown fields of an account are named", async () => {
  const { status, body } = await put(anAccount({ id: "typo", limit_per_minut: 3 }));
  assert.equal(status, 200);
  assert.deepEqual(body.warnings, ['unknown field "limit_per_minut", did you mean "limit_per_minute"?']);
});

test("what a deleted account had not sent becomes an error, what is being sent finishes", async () => {
  await put(anAccount({ id: "leaving", max_connections: 1 }));
  await running.api.addMessages(aMessage({ id: "going", account_id: "leaving", priority: 0 }));
  const [claim] = await running.claim();
  assert.equal(claim?.id, "going");
  await running.api.addMessages(aMessage({ id: "left-behind", account_id: "leaving" }));
  await running.api.delete("/account/leaving");

  const left = (await running.api.get("/messages/left-behind")).body;
  assert.deepEqual([left.status, left.error], ["error", "account deleted"]);
  assert.ok(left.error_ts > 0);
  const retried = await running.api.post("/commands/retry-messages", { ids: ["left-behind"] });
  assert.deepEqual(retried.body, { ok: true, retried: 0, not_found: [], not_failed: ["left-behind"] });
  assert.equal((await running.api.get("/messages/going")).body.status, "pending");
  const { rejected } = (await running.api.addMessages(aMessage({ id: "late", account_id: "leaving" }))).body;
  assert.deepEqual(rejected, [{ id: "late", reason: "account not found" }]);
});

test("a held account says why and until when, its messages wait, and release ends it", async () => {
  await put(anAccount({ id: "holding" }));
  const until = Math.floor(running.clock.now().wallMs / 1000) + 3600;
  const held = await running.api.post("/account/holding/hold", { reason: "maintenance", until });
  assert.deepEqual([held.status, held.body], [200, { ok: true }]);
  const account = await show("holding");
  assert.deepEqual([account.state, account.reason], ["held", "maintenance"]);
  assert.ok(Math.abs(Date.parse(account.until) / 1000 - until) < 2);

  await running.api.addMessages(aMessage({ id: "waits", account_id: "holding" }));
  const { waiting } = (await running.api.get("/messages/waits")).body;
  assert.match(waiting.reason, /held/);
  assert.ok(Math.abs(Date.parse(waiting.until) / 1000 - until) < 2);

  assert.deepEqual((await running.api.post("/account/holding/release")).body, { ok: true });
  assert.equal((await show("holding")).state, "ready");
  assert.doesNotMatch((await running.api.get("/messages/waits")).body.waiting.reason, /held/);
});

test("a hold needs no body, and takes ISO 8601", async () => {
  await put(anAccount({ id: "plain-hold" }));
  assert.equal((await running.api.post("/account/plain-hold/hold")).status, 200);
  assert.equal((await show("plain-hold")).state, "held");
  assert.equal("until" in (await show("plain-hold")), false);
  const wallMs = running.clock.now().wallMs + 300 * DAY_MS;
  await running.api.post("/account/plain-hold/hold", { until: isoTime(wallMs) });
  assert.ok(Math.abs(Date.parse((await show("plain-hold")).until) - wallMs) < 2000);
});

test("the end of a hold is a time from now to 366 days ahead, else 422 and nothing is held", async () => {
  await put(anAccount({ id: "long-hold" }));
  const nowS = running.clock.now().wallMs / 1000;
  const latest = await running.api.post("/account/long-hold/hold", { until: nowS + 366 * 86_400 - 60.0001 });
  assert.equal(latest.status, 200, "the last minute, with a fraction");
  await running.api.post("/account/long-hold/release");

  const faulty: [json: string, shown: string][] = [
    ["1000", "1000"],
    ["1e15", "1000000000000000"],
    ["1e400", "Infinity"],
    [String(Math.ceil(nowS) + 367 * 86_400), String(Math.ceil(nowS) + 367 * 86_400)],
    ['"9999-12-31T00:00:00Z"', '"9999-12-31T00:00:00Z"'],
    ['"2020-01-01T00:00:00Z"', '"2020-01-01T00:00:00Z"'],
    // Its pattern is that of a time, and yet no clock shows it.
    ['"2027-01-01T00:00:00+01"', '"2027-01-01T00:00:00+01"'],
  ];
  for (const [json, shown] of faulty) {
    const answer = await fetch(`${running.url}/account/long-hold/hold`, {
      method: "POST",
      headers: { "x-api-token": "test-token", "content-type": "application/json" },
      body: `{"until":${json}}`,
    });
    assert.equal(answer.status, 422, json);
    const { error, detail } = (await answer.json()) as { error: string; detail: { loc: string[] }[] };
    assert.ok(error.startsWith(`until: ${shown}, wanted a time in the future, at most 366 days ahead`), error);
    assert.deepEqual(detail[0]?.loc, ["body", "until"]);
    assert.equal((await show("long-hold")).state, "ready", json);
  }
  assert.equal((await running.api.get("/accounts")).status, 200);
});

for (const call of [
  "GET /account/nobody",
  "POST /account/nobody/hold",
  "POST /account/nobody/release",
  "POST /account/nobody/verify",
]) {
  test(`${call}: 404`, async () => {
    const [method = "", path = ""] = call.split(" ");
    const { status, body } = await running.api.send(method, path);
    assert.deepEqual([status, body], [404, { ok: false, error: "account not found", detail: "account not found" }]);
  });
}

/** What a dispatcher does with the question. */
async function answerVerification(answer: { ok: boolean; text: string }): Promise<void> {
  const asked = await eventually(() => running.store.accounts.takeVerification(TAKER, running.clock.now()));
  await running.store.accounts.answerVerification(asked.key, answer, running.clock.now());
}

test("verify answers what the dispatcher found, and success ends a hold", async () => {
  await put(anAccount({ id: "verified" }));
  await running.api.post("/account/verified/hold");
  const refused = running.api.post("/account/verified/verify");
  await answerVerification({ ok: false, text: "535 5.7.8 bad credentials" });
  assert.deepEqual((await refused).body, {
    ok: false,
    error: "535 5.7.8 bad credentials",
    detail: "535 5.7.8 bad credentials",
  });
  assert.equal((await refused).status, 502);
  assert.equal((await show("verified")).state, "held");

  const good = running.api.post("/account/verified/verify");
  await answerVerification({ ok: true, text: "" });
  assert.deepEqual([(await good).status, (await good).body], [200, { ok: true }]);
  assert.equal((await show("verified")).state, "ready");
});

test("verify without a dispatcher is a 503 after 30 s, and the question is withdrawn", async () => {
  await put(anAccount({ id: "unverified" }));
  const started = performance.now();
  const { status, body, headers } = await running.api.post("/account/unverified/verify");
  const seconds = (performance.now() - started) / 1000;
  assert.deepEqual([status, body.error], [503, "no dispatcher answered"]);
  assert.ok(headers.has("retry-after"));
  assert.ok(seconds >= 29.9 && seconds < 32, `${seconds} s`);
  assert.equal(await running.store.accounts.takeVerification(TAKER, running.clock.now()), null);
});

test("a client that goes away withdraws its verify", async () => {
  await put(anAccount({ id: "impatient" }));
  const gone = new AbortController();
  const asked = fetch(new URL("/account/impatient/verify", running.url), {
    method: "POST",
    headers: { "x-api-token": "test-token" },
    signal: gone.signal,
  }).catch(() => "gone");
  const taken = await eventually(() => running.store.accounts.takeVerification(TAKER, running.clock.now()));
  gone.abort();
  assert.equal(await asked, "gone");
  await eventually(async () => {
    await running.store.accounts.answerVerification(taken.key, { ok: true, text: "" }, running.clock.now());
    await pause(20);
    return (await running.store.accounts.verification(taken.key)) === null;
  });
});

test("ids with odd letters are found", async () => {
  const id = "a/b c?d#é";
  await put(anAccount({ id }));
  assert.equal((await show(encodeURIComponent(id))).id, id);
});
