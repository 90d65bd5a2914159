import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { apiClient } from "../../support/api-client.ts";
import { aMessage, anAccount } from "../../support/messages.ts";
import { type RunningApi, startApi } from "./running-api.ts";

let running: RunningApi;
before(async () => {
  running = await startApi({ config: '[smtp]\ntenant_hosts = "relay.example, 192.0.2.0/24"\n' });
});
after(() => running.stop());

const post = (body: object) => running.api.post("/tenant", body);
const put = (id: string, body: object) =>
  running.api.send("PUT", `/tenant/${id}`, {
    body: JSON.stringify(body),
    headers: { "content-type": "application/json" },
  });

test("a tenant is registered, registered again with a fresh key, and merged", async () => {
  const first = await post({
    id: "app",
    name: "An application",
    client_base_url: "https://app.example/base/",
    client_auth: { method: "basic", user: "u", password: "pw-of-the-client", token: "" },
    rate_limits: { limit_per_minute: 10, limit_per_day: 0 },
    unknown: 1,
  });
  assert.deepEqual(first.body.warnings, ['unknown field "unknown"']);
  assert.ok(Buffer.from(first.body.api_key, "base64url").length >= 32, "256 bits");
  const second = await post({ id: "app", client_sync_path: "/sync" });
  assert.notEqual(second.body.api_key, first.body.api_key);
  assert.equal((await apiClient(running.url, first.body.api_key).get("/messages")).status, 401);
  assert.equal((await apiClient(running.url, second.body.api_key).get("/messages")).status, 200);
  const shown = await running.api.get("/tenant/app");
  const { created_at: _, updated_at: __, ...fields } = shown.body;
  assert.deepEqual(fields, {
    ok: true,
    id: "app",
    name: "An application",
    client_base_url: "https://app.example/base",
    client_sync_path: "/sync",
    client_attachment_path: "/proxy_get_attachments",
    client_auth: { method: "basic", user: "u" },
    active: true,
    rate_limits: { limit_per_minute: 10 },
    s3_prefixes: [],
    has_api_key: true,
  });
  const all = await running.api.get("/tenants");
  assert.deepEqual(
    all.body.tenants.map(({ id }: { id: string }) => id),
    ["app", "default"],
  );
  assert.ok(!all.text.includes("pw-of-the-client"));
});

test("what is no tenant is refused with the field and what is wanted", async () => {
  const cases: [body: object, error: RegExp][] = [
    [{}, /^id: Field required$/],
    [{ id: "" }, /^id: must not be empty$/],
    [{ id: ".." }, /^id: ".." cannot be asked for/],
    [{ id: "t", client_base_url: "ftp://x.y" }, /^client_base_url: is not an http or https address$/],
    [{ id: "t", client_base_url: "http://u:p@x.y" }, /^client_base_url: has credentials/],
    [{ id: "t", client_base_url: "http://x.y/?a=1" }, /^client_base_url: has a query/],
    [{ id: "t", client_base_url: "http://x.y/#f" }, /^client_base_url: has a query or a fragment/],
    [{ id: "t", client_base_url: "http://169.254.169.254" }, /^client_base_url: is not allowed: a cloud's metadata/],
    [{ id: "t", client_base_url: "http://[fe80::1]:80" }, /^client_base_url: is not allowed: a link-local/],
    [{ id: "t", client_sync_path: "@evil.example/x" }, /^client_sync_path: does not begin with one \/$/],
    [{ id: "t", client_sync_path: "//evil.example/x" }, /^client_sync_path: does not begin with one \/$/],
    [{ id: "t", client_attachment_path: "/a b" }, /^client_attachment_path: has blanks/],
    [{ id: "t", client_auth: { method: "basic" } }, /^client_auth.user: is wanted with method basic$/],
    [{ id: "t", client_auth: { method: "bearer" } }, /^client_auth.token: is wanted with method bearer$/],
    [{ id: "t", client_auth: { method: "digest" } }, /^client_auth.method: Input should be 'none'/],
    [{ id: "t", s3_prefixes: ["/x"] }, /^s3_prefixes.0: "\/x" is neither bucket nor bucket\/prefix$/],
    [{ id: "t", rate_limits: { limit_per_minute: "x" } }, /^rate_limits.limit_per_minute: Input should be a number$/],
  ];
  for (const [body, error] of cases) {
    const answer = await post(body);
    assert.equal(answer.status, 422, JSON.stringify(body));
    assert.match(answer.body.error, error);
  }
  assert.equal((await running.api.get("/tenant/t")).status, 404);
});

test("what is not given stays, in limits too; a login says by itself what it is; flags and names as clients write them", async () => {
  await post({ id: "merged", rate_limits: { limit_per_minute: 7, limit_per_day: 9 } });
  await put("merged", {
    rate_limits: { limit_per_hour: 50, limit_per_day: 0 },
    client_auth: { user: "u", password: "p" },
  });
  const { body } = await running.api.get("/tenant/merged");
  assert.deepEqual(body.rate_limits, { limit_per_minute: 7, limit_per_hour: 50 });
  assert.deepEqual(body.client_auth, { method: "basic", user: "u" });
  for (const flag of ["True", "", "1"])
    assert.equal((await running.api.get(`/tenants?active_only=${flag}`)).status, 200);
  assert.equal((await running.api.get("/messages?tenant_id=")).status, 200);
  const refused = await post({ id: "t", client_sync_path: "/sync?token=secret" });
  assert.match(refused.body.error, /^client_sync_path: has blanks/);
  const long = await running.api.post(`/commands/suspend?tenant_id=merged&batch_code=${"x".repeat(65)}`);
  assert.equal(long.status, 422);
});

test("a body that names the tenant is heard by calls that need none", async () => {
  await post({ id: "named" });
  const account = anAccount({ id: "both", host: "relay.example" });
  await running.api.post("/account", account);
  await running.api.post("/account?tenant_id=named", account);
  for (const tenant_id of ["named", "default"]) {
    await running.api.post("/account/both/hold", { tenant_id });
    const state = async () => (await running.api.get(`/account/both?tenant_id=${tenant_id}`)).body.state;
    assert.equal(await state(), "held");
    assert.equal((await running.api.post("/account/both/release", { tenant_id })).status, 200);
    assert.equal(await state(), "ready");
  }
});

test("a private address is the operator's choice", async () => {
  assert.equal((await post({ id: "inner", client_base_url: "http://10.0.0.5:8080" })).status, 200);
});

test("changing, keys, deleting: unknown ones are not found, in the words of the contract", async () => {
  await post({ id: "gone", active: false });
  const active = await running.api.get("/tenants?active_only=true");
  assert.ok(!active.body.tenants.some(({ id }: { id: string }) => id === "gone"));
  assert.deepEqual((await put("gone", { name: "G" })).body, { ok: true });
  assert.ok((await running.api.post("/tenant/gone/api-key")).body.api_key);
  assert.deepEqual((await running.api.delete("/tenant/gone/api-key")).body, { ok: true });
  assert.deepEqual((await running.api.delete("/tenant/gone")).body, { ok: true });
  for (const answer of [
    await running.api.get("/tenant/gone"),
    await put("gone", {}),
    await running.api.delete("/tenant/gone"),
    await running.api.post("/tenant/gone/api-key"),
    await running.api.delete("/tenant/gone/api-key"),
    await running.api.get("/messages?tenant_id=gone"),
  ])
    assert.deepEqual([answer.status, answer.body.error], [404, "Tenant 'gone' not found"]);
  assert.equal((await running.api.delete("/tenant/default")).status, 422);
});

test("with tenants records say whose they are, and the client finds its retry_count", async () => {
  await running.api.post("/account?tenant_id=default", anAccount({ id: "a" }));
  await running.api.post("/commands/add-messages?tenant_id=default", {
    messages: [aMessage({ id: "with", account_id: "a", batch_code: "b" })],
  });
  const shown = (await running.api.get("/messages/with?tenant_id=default")).body;
  assert.deepEqual([shown.tenant_id, shown.batch_code, shown.message.retry_count], ["default", "b", 0]);
  const plain = (await running.api.get("/messages/with")).body;
  assert.deepEqual(["tenant_id" in plain, "retry_count" in plain.message], [false, false]);
  const list = await running.api.get("/messages?batch_code=b");
  assert.equal(list.body.messages.length, 1);
  for (const batch_code of ["x".repeat(65), "*"]) {
    const refused = await running.api.addMessages(aMessage({ id: "no", account_id: "a", batch_code }));
    assert.match(refused.body.rejected[0].reason, /^invalid batch_code: /);
  }
});

test("an id of a tenant without tenants' rules stays a duplicate", async () => {
  await running.api.addMessages(aMessage({ id: "twice" }));
  const again = await running.api.addMessages(aMessage({ id: "twice" }));
  assert.deepEqual(again.body.rejected, [{ id: "twice", reason: "duplicate id" }]);
  const named = await running.api.addMessages(aMessage({ id: "twice", tenant_id: "default" }));
  assert.deepEqual([named.body.queued, named.body.rejected], [1, []]);
});

test("a tenant's accounts are where the operator lets tenants be", async () => {
  await post({ id: "narrow" });
  const account = (host: string) => running.api.post("/account?tenant_id=narrow", anAccount({ host }));
  for (const host of ["relay.example", "192.0.2.7", "may-resolve-into-it.example"])
    assert.equal((await account(host)).status, 200, host);
  for (const host of ["198.51.100.1", "169.254.169.254", "fe80::1"]) {
    const refused = await account(host);
    assert.match(refused.body.error, /^host: is not allowed/, host);
  }
  assert.equal((await running.api.post("/account", anAccount({ host: "198.51.100.1" }))).status, 200);
  const named = await running.api.post("/account?tenant_id=narrow", anAccount({ id: "default" }));
  assert.equal(named.status, 422);
});

test("how each tenant stands with its client", async () => {
  const { body } = await running.api.get("/tenants/sync-status");
  assert.deepEqual(
    body.tenants.find(({ id }: { id: string }) => id === "app"),
    { id: "app", reports_waiting: 0 },
  );
});
