import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { apiClient } from "../../support/api-client.ts";
import { type RunningApi, startApi } from "./running-api.ts";

type Operation = {
  summary?: string;
  security?: unknown[];
  parameters?: { name: string; in: string; required?: boolean; schema: object }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { description: string; content?: object }>;
};
type Schema = {
  $ref?: string;
  type?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
};
type Document = {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema>; securitySchemes: object };
};

let running: RunningApi;
let document: Document;
before(async () => {
  running = await startApi();
  document = (await apiClient(running.url, null).get("/openapi.json")).body;
});
after(() => running.stop());

const calls = [
  "post /commands/add-messages",
  "post /commands/delete-messages",
  "post /commands/cleanup-messages",
  "post /commands/retry-messages",
  "get /messages",
  "get /messages/{id}",
  "post /account",
  "get /accounts",
  "get /account/{id}",
  "delete /account/{id}",
  "post /account/{id}/verify",
  "post /account/{id}/hold",
  "post /account/{id}/release",
  "get /status",
  "post /commands/run-now",
  "post /commands/suspend",
  "post /commands/activate",
  "get /health",
  "get /livez",
  "get /readyz",
  "get /metrics",
  "get /openapi.json",
  "get /commands/rules",
  "post /commands/rules",
  "patch /commands/rules/{id}",
  "delete /commands/rules/{id}",
  "post /tenant",
  "get /tenants",
  "get /tenants/sync-status",
  "get /tenant/{id}",
  "put /tenant/{id}",
  "delete /tenant/{id}",
  "post /tenant/{id}/api-key",
  "delete /tenant/{id}/api-key",
];

const operations = () =>
  Object.entries(document.paths).flatMap(([path, verbs]) =>
    Object.entries(verbs).map(([verb, one]) => ({ call: `${verb} ${path}`, path, one })),
  );

test("the document names every call, and no other", () => {
  assert.match(document.openapi, /^3\.1\./);
  assert.match(document.info.version, /^\d+\.\d+\.\d+/);
  assert.deepEqual(
    operations()
      .map(({ call }) => call)
      .sort(),
    [...calls].sort(),
  );
});

test("every call has a summary, described answers and its path's parameters", () => {
  for (const { call, path, one } of operations()) {
    assert.ok(one.summary, call);
    assert.ok("200" in one.responses, call);
    for (const answer of Object.values(one.responses)) assert.ok(answer.description, call);
    const wanted = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    const given = (one.parameters ?? []).filter((parameter) => parameter.in === "path").map(({ name }) => name);
    assert.deepEqual(given, wanted, call);
  }
});

test("operation ids are unique, and every reference leads somewhere", () => {
  const text = JSON.stringify(document);
  for (const [, name = ""] of text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)) {
    assert.ok(name in document.components.schemas, name);
  }
  const ids = [...text.matchAll(/"operationId":"([^"]+)"/g)].map((match) => match[1]);
  assert.equal(new Set(ids).size, calls.length);
  assert.equal(/"\$ref":"(?!#\/components\/schemas\/)/.test(text), false);
});

test("a token is wanted everywhere but at probes and this document", () => {
  const open = operations()
    .filter(({ one }) => one.security?.length === 0)
    .map(({ call }) => call);
  assert.deepEqual(open.sort(), ["get /health", "get /livez", "get /openapi.json", "get /readyz"]);
  assert.deepEqual(Object.keys(document.components.securitySchemes), ["token", "bearer"]);
});

const schemaOf = (path: string, verb = "post") =>
  document.paths[path]?.[verb]?.requestBody?.content["application/json"]?.schema;

test("the bodies are those that are checked: a message's fields, an account's, a rule's", () => {
  const message = schemaOf("/commands/add-messages")?.properties?.messages?.items;
  assert.deepEqual(message?.required?.sort(), ["from", "id", "subject", "to"]);
  for (const field of ["cc", "attachments", "deferred_ts", "on_ambiguous"])
    assert.ok(message?.properties?.[field], field);
  assert.deepEqual(schemaOf("/account")?.required?.sort(), ["host", "id"]);
  assert.ok(schemaOf("/account")?.properties?.limit_per_minute);
  assert.ok(schemaOf("/commands/rules")?.properties?.interval_minutes);
  assert.deepEqual(schemaOf("/commands/rules/{id}", "patch")?.required, ["enabled"]);
  const query = document.paths["/messages"]?.get?.parameters?.map(({ name }) => name).sort();
  assert.deepEqual(query, ["account_id", "active_only", "batch_code", "cursor", "limit", "status", "tenant_id"]);
});

test("the docs page and all that it loads come from here", async () => {
  const nobody = apiClient(running.url, null);
  const page = await nobody.get("/docs");
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-type") ?? "", /^text\/html/);
  assert.doesNotMatch(page.text, /https?:|\/\/[a-z]/i);
  const policy = page.headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /https?:|\*|unsafe-eval/);

  const files = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)]
    .map((match) => match[1] ?? "")
    .filter((url) => !url.startsWith("data:"));
  assert.equal(files.length, 3);
  for (const file of files) {
    const answer = await nobody.get(new URL(file, `${running.url}/docs`).pathname);
    assert.equal(answer.status, 200, file);
    assert.match(answer.headers.get("content-type") ?? "", /^text\/(css|javascript)/, file);
    assert.ok(answer.text.length > 50, file);
  }
  const start = await nobody.get("/docs/start.js");
  assert.match(start.text, /url: "openapi\.json"/);
  assert.match(start.text, /validatorUrl: null/);
  assert.doesNotMatch(start.text, /https?:/);
});

test("no installed part of the docs page reports to third parties", async () => {
  assert.throws(() => import.meta.resolve("@scarf/scarf"));
});
