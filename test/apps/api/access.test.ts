import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { mustHaveRules } from "@async-mail/api/app";
import { DOCS_PATHS } from "@async-mail/api/docs";
import { ruleOf } from "@async-mail/api/openapi";
import { type Answer, apiClient } from "../../support/api-client.ts";
import { aMessage, anAccount } from "../../support/messages.ts";
import { anApp } from "./an-app.ts";
import { type RunningApi, startApi } from "./running-api.ts";

type Rule = "open" | "admin" | "tenant" | "own";
type Call = {
  rule: Rule;
  /** With its parameters filled in; absent: as it stands. */
  path?: string;
  body?: object;
  /** What it answers whom it lets in. */
  ok?: number;
};

/** Every call. What its rule says of each kind of token follows from that alone. */
const CALLS: Record<string, Call> = {
  "POST /commands/add-messages": { rule: "tenant", body: { messages: [] } },
  "POST /commands/delete-messages": { rule: "tenant", body: { ids: ["m"] } },
  "POST /commands/cleanup-messages": { rule: "tenant", body: {} },
  "POST /commands/retry-messages": { rule: "tenant", body: { ids: ["m"] } },
  "GET /messages": { rule: "tenant" },
  "GET /messages/:id": { rule: "tenant", path: "/messages/unknown", ok: 404 },
  "POST /account": { rule: "tenant", body: anAccount({ id: "posted" }) },
  "GET /accounts": { rule: "tenant" },
  "GET /account/:id": { rule: "tenant", path: "/account/unknown", ok: 404 },
  "DELETE /account/:id": { rule: "tenant", path: "/account/unknown" },
  "POST /account/:id/verify": { rule: "tenant", path: "/account/unknown/verify", ok: 404 },
  "POST /account/:id/hold": { rule: "tenant", path: "/account/unknown/hold", body: {}, ok: 404 },
  "POST /account/:id/release": { rule: "tenant", path: "/account/unknown/release", ok: 404 },
  "GET /status": { rule: "tenant" },
  "POST /commands/run-now": { rule: "tenant" },
  "POST /commands/suspend": { rule: "tenant" },
  "POST /commands/activate": { rule: "tenant" },
  "POST /tenant": { rule: "admin", body: { id: "posted" } },
  "GET /tenants": { rule: "admin" },
  "GET /tenants/sync-status": { rule: "admin" },
  "GET /tenant/:id": { rule: "own", path: "/tenant/mine" },
  "PUT /tenant/:id": { rule: "own", path: "/tenant/mine", body: { name: "M" } },
  "DELETE /tenant/:id": { rule: "admin", path: "/tenant/unknown", ok: 404 },
  "POST /tenant/:id/api-key": { rule: "admin", path: "/tenant/unknown/api-key", ok: 404 },
  "DELETE /tenant/:id/api-key": { rule: "admin", path: "/tenant/unknown/api-key", ok: 404 },
  "GET /commands/rules": { rule: "admin" },
  "POST /commands/rules": { rule: "admin", body: { name: "r" } },
  "PATCH /commands/rules/:id": { rule: "admin", path: "/commands/rules/999", body: { enabled: true }, ok: 404 },
  "DELETE /commands/rules/:id": { rule: "admin", path: "/commands/rules/999", ok: 404 },
  "GET /metrics": { rule: "admin" },
  "GET /health": { rule: "open" },
  "GET /livez": { rule: "open" },
  "GET /readyz": { rule: "open" },
  "GET /openapi.json": { rule: "open" },
};

const TOKENS = ["own key", "other's key", "admin", "none", "revoked"] as const;
type Token = (typeof TOKENS)[number];

const NOT_ITS = "Token not authorized for this tenant";
const ADMIN = "Admin token required";

/** The failure that a rule has for a token, about the tenant `mine`; null: it is let in. */
function refusal(rule: Rule, token: Token): { status: number; error: string } | null {
  if (rule === "open" || token === "admin") return null;
  if (token === "none" || token === "revoked") return { status: 401, error: "Invalid or missing API token" };
  if (rule === "admin") return { status: 403, error: ADMIN };
  return token === "own key" ? null : { status: 403, error: NOT_ITS };
}

let running: RunningApi;
const keys = new Map<Token, string | null>();
const send = (token: Token, method: string, path: string, body?: object): Promise<Answer> =>
  apiClient(running.url, keys.get(token) ?? null).send(method, path, {
    ...(body && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
const as = (token: Token) => apiClient(running.url, keys.get(token) ?? null);

before(async () => {
  running = await startApi();
  const register = async (id: string) => (await running.api.post("/tenant", { id })).body.api_key as string;
  keys.set("admin", "test-token").set("none", null);
  keys.set("own key", await register("mine")).set("other's key", await register("theirs"));
  keys.set("revoked", await register("gone"));
  await running.api.delete("/tenant/gone/api-key");
});
after(() => running.stop());

test("a route without a rule does not start", async () => {
  const { app, close } = await anApp();
  app.get("/new", (c) => c.text("open to everybody"));
  assert.throws(() => mustHaveRules(app), /GET \/new has no rule who may call it/);
  await close();
});

test("every route has a rule, and the one that stands here", async () => {
  const { app, close } = await anApp();
  const rules = new Map<string, string | null>();
  for (const { method, path, handler } of app.routes) {
    const name = `${method} ${path}`;
    if (method !== "ALL" && !DOCS_PATHS.includes(path)) rules.set(name, rules.get(name) ?? ruleOf(handler));
  }
  const written = Object.entries(CALLS).map(([name, { rule }]) => [name, rule]);
  assert.deepEqual([...rules].sort(), written.sort());
  await close();
});

test("each token is let in where its call's rule says so, and nowhere else", async (t) => {
  for (const [name, { rule, path, body, ok = 200 }] of Object.entries(CALLS)) {
    const [method = "", route = ""] = name.split(" ");
    const statuses: number[] = [];
    for (const token of TOKENS) {
      const about = rule === "tenant" ? "?tenant_id=mine" : "";
      const answer = await send(token, method, `${path ?? route}${about}`, body);
      const expected = refusal(rule, token);
      assert.equal(answer.status, expected?.status ?? ok, `${name} with ${token}: ${answer.text}`);
      if (expected) assert.deepEqual([answer.body.ok, answer.body.error], [false, expected.error], name);
      statuses.push(answer.status);
    }
    t.diagnostic(`${name.padEnd(32)} ${rule.padEnd(7)} ${statuses.join("  ")}`);
  }
});

test("a tenant named in the body is looked at too", async () => {
  const named = Object.entries(CALLS).filter(([, { rule, body }]) => rule === "tenant" && body);
  assert.ok(named.length >= 6);
  for (const [name, { path, body, ok = 200 }] of named) {
    const [method = "", route = ""] = name.split(" ");
    const about = { ...body, tenant_id: "mine" };
    for (const [token, status] of [
      ["own key", ok],
      ["other's key", 403],
      ["admin", ok],
    ] as const)
      assert.equal((await send(token, method, path ?? route, about)).status, status, `${name} with ${token}`);
    const unknown = await send("admin", method, path ?? route, { ...body, tenant_id: "nobody" });
    assert.deepEqual([unknown.status, unknown.body.error], [404, "Tenant 'nobody' not found"], name);
    const both = await send("admin", method, `${path ?? route}?tenant_id=theirs`, about);
    assert.equal(both.status, 422, name);
    const mistyped = await send("admin", method, path ?? route, { ...body, tenant_id: 5 });
    assert.equal(mistyped.status, 422, name);
  }
});

test("a tenant's own key changes its name and its login, and nothing else of it", async () => {
  const own = as("own key");
  const put = (body: object) => own.send("PUT", "/tenant/mine", { body: JSON.stringify(body), headers: JSON_TYPE });
  const auth = { method: "bearer", token: "a-token-of-its-own" };
  assert.equal((await put({ name: "Mine", client_auth: auth })).status, 200);
  const fields = { client_base_url: "http://x.y", active: false, rate_limits: {}, s3_prefixes: ["b"] };
  for (const [field, value] of Object.entries(fields)) {
    const refused = await put({ [field]: value });
    assert.deepEqual([refused.status, refused.body.error], [403, ADMIN], field);
  }
  const shown = await own.get("/tenant/mine");
  assert.deepEqual([shown.body.name, shown.body.client_auth], ["Mine", { method: "bearer" }]);
  assert.ok(!shown.text.includes(auth.token));
});

test("same ids are two tenants' own, in messages and accounts", async () => {
  for (const [token, host] of [
    ["own key", "mine.example"],
    ["other's key", "theirs.example"],
  ] as const) {
    assert.equal((await as(token).post("/account", anAccount({ id: "same", host }))).status, 200);
    const added = await as(token).addMessages(aMessage({ id: "same", account_id: "same", subject: host }));
    assert.equal(added.body.queued, 1, added.text);
  }
  const mine = await as("own key").get("/messages/same");
  assert.deepEqual([mine.body.tenant_id, mine.body.message.subject], ["mine", "mine.example"]);
  const theirs = await as("other's key").get("/account/same");
  assert.deepEqual([theirs.body.tenant_id, theirs.body.host], ["theirs", "theirs.example"]);
  assert.equal((await running.api.get("/messages/same")).status, 404, "the tenant default has none");
  const list = await as("own key").get("/messages");
  assert.ok(!list.text.includes("theirs"));
  const deleted = await as("own key").post("/commands/delete-messages", { ids: ["same"] });
  assert.equal(deleted.body.removed, 1);
  assert.equal((await as("other's key").get("/messages/same")).status, 200);
});

test("in a batch each message is its tenant's, and one of another is refused by itself", async () => {
  await as("own key").post("/account", anAccount({ id: "a" }));
  await as("other's key").post("/account", anAccount({ id: "a" }));
  const message = (id: string, tenant_id?: string) => aMessage({ id, account_id: "a", tenant_id });
  const own = await as("own key").addMessages(message("1", "mine"), message("2", "theirs"), message("3"));
  assert.deepEqual([own.status, own.body.queued], [200, 2]);
  assert.deepEqual(own.body.rejected, [{ id: "2", reason: "tenant not allowed" }]);
  const admin = await running.api.addMessages(message("4", "theirs"), message("5", "nobody"), message("6"));
  assert.deepEqual(admin.body.rejected, [
    { id: "5", reason: "tenant not found" },
    { id: "6", reason: "account not found" },
  ]);
  assert.equal((await as("other's key").get("/messages/4")).status, 200);
  const named = await running.api.post("/commands/add-messages?tenant_id=mine", { messages: [message("7", "theirs")] });
  assert.deepEqual([named.status, named.body.rejected], [400, [{ id: "7", reason: "tenant not allowed" }]]);
});

test("what a tenant sees of the service says nothing of machines and others", async () => {
  const status = await as("own key").get("/status");
  for (const process of status.body.processes) assert.deepEqual(Object.keys(process).sort(), PROCESS_FIELDS);
  const cursor = async () => {
    await as("own key").addMessages(aMessage({ account_id: "a" }), aMessage({ account_id: "a" }));
    return (await as("own key").get("/messages?limit=1")).body.next_cursor as string;
  };
  assert.ok(
    !/^[0-3]\.\d+$/.test(Buffer.from(await cursor(), "base64url").toString()),
    "the rows of all are not counted",
  );
  const next = await as("own key").get(`/messages?limit=1&cursor=${await cursor()}`);
  assert.equal(next.status, 200);
  assert.equal((await as("own key").get("/messages?limit=1&cursor=AAAA")).status, 422);
});

test("the switches of a tenant are its own; the admin's word weighs more", async () => {
  const switched = async (token: Token, path: string) => (await as(token).post(path)).body.suspended_batches;
  assert.deepEqual(await switched("own key", "/commands/suspend"), ["*"]);
  assert.deepEqual(await switched("own key", "/commands/activate"), []);
  assert.deepEqual(await switched("own key", "/commands/suspend?batch_code=b"), ["b"]);
  assert.deepEqual(await switched("admin", "/commands/suspend?tenant_id=mine"), ["*"]);
  assert.deepEqual(await switched("own key", "/commands/activate"), ["*"]);
  assert.deepEqual(await switched("admin", "/commands/activate?tenant_id=mine"), []);
  assert.equal((await running.api.get("/status")).body.active, true);
  assert.deepEqual((await running.api.post("/commands/suspend")).body, { ok: true, active: false });
  assert.equal((await as("own key").get("/status")).body.active, false);
  assert.deepEqual((await running.api.post("/commands/activate")).body, { ok: true, active: true });
});

const JSON_TYPE = { "content-type": "application/json" };
const PROCESS_FIELDS = ["kind", "seen_at", "started_at", "version"];
