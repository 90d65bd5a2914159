import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import test, { after, before } from "node:test";
import { apiClient } from "../../support/api-client.ts";
import { aMessage } from "../../support/messages.ts";
import { type RunningApi, startApi } from "./running-api.ts";

const MAX_BODY = 100_000;
const CONFIG = `[server]
max_body_bytes = ${MAX_BODY}
max_bytes_in_flight = 150000
[metrics]
token = metrics-token
`;

let running: RunningApi;
before(async () => {
  running = await startApi({ config: CONFIG });
});
after(() => running.stop());

const json = { "content-type": "application/json" };

const unreadable: { name: string; body: string | Uint8Array; headers?: Record<string, string>; type: string }[] = [
  { name: "not JSON", body: "{messages: []}", type: "json_invalid" },
  { name: "cut off", body: '{"messages": [', type: "json_invalid" },
  { name: "not UTF-8", body: new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), type: "json_invalid" },
  { name: "a list", body: "[]", type: "dict_type" },
  { name: "a text", body: '"messages"', type: "dict_type" },
  { name: "null", body: "null", type: "dict_type" },
  {
    name: "a form",
    body: "messages=1",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    type: "content_type",
  },
  { name: "plain text", body: '{"messages":[]}', headers: { "content-type": "text/plain" }, type: "content_type" },
  { name: "of no content type", body: new TextEncoder().encode('{"messages":[]}'), headers: {}, type: "content_type" },
];
const bodyCalls = [
  "POST /commands/add-messages",
  "POST /commands/delete-messages",
  "POST /commands/cleanup-messages",
  "POST /commands/retry-messages",
  "POST /account",
  "POST /account/x/hold",
  "POST /commands/rules",
  "PATCH /commands/rules/1",
];

for (const call of bodyCalls) {
  const [method = "", path = ""] = call.split(" ");
  test(`${call}: a body that is no JSON object is a 422`, async () => {
    for (const { name, body, headers = json, type } of unreadable) {
      const answer = await running.api.send(method, path, { body, headers });
      assert.equal(answer.status, 422, name);
      assert.equal(answer.body.ok, false, name);
      assert.equal(typeof answer.body.error, "string", name);
      assert.equal(answer.body.detail[0].type, type, name);
      assert.deepEqual(answer.body.detail[0].loc, ["body"], name);
      assert.equal(typeof answer.body.detail[0].msg, "string", name);
      assert.equal("rejected" in answer.body, false, name);
    }
  });
}

const mistyped: { call: string; body: object; loc: (string | number)[]; type: string }[] = [
  { call: "POST /commands/add-messages", body: {}, loc: ["body", "messages"], type: "missing" },
  { call: "POST /commands/add-messages", body: { messages: "all" }, loc: ["body", "messages"], type: "list_type" },
  {
    call: "POST /commands/add-messages",
    body: { messages: [], default_priority: "soon" },
    loc: ["body", "default_priority"],
    type: "value_error",
  },
  { call: "POST /commands/delete-messages", body: {}, loc: ["body", "ids"], type: "missing" },
  { call: "POST /commands/delete-messages", body: { ids: "a" }, loc: ["body", "ids"], type: "list_type" },
  { call: "POST /commands/delete-messages", body: { ids: ["a", 1] }, loc: ["body", "ids", 1], type: "string_type" },
  { call: "POST /commands/retry-messages", body: { ids: { a: 1 } }, loc: ["body", "ids"], type: "list_type" },
  {
    call: "POST /commands/cleanup-messages",
    body: { older_than_seconds: "old" },
    loc: ["body", "older_than_seconds"],
    type: "float_type",
  },
  {
    call: "POST /commands/cleanup-messages",
    body: { unreported: "yes" },
    loc: ["body", "unreported"],
    type: "bool_type",
  },
  { call: "POST /account", body: { host: "h" }, loc: ["body", "id"], type: "missing" },
  { call: "POST /account", body: { id: "a" }, loc: ["body", "host"], type: "missing" },
  { call: "POST /account/x/hold", body: { reason: 1 }, loc: ["body", "reason"], type: "string_type" },
  { call: "POST /account/x/hold", body: { until: true }, loc: ["body", "until"], type: "value_error" },
  { call: "POST /account/x/hold", body: { until: "tomorrow" }, loc: ["body", "until"], type: "value_error" },
  { call: "POST /commands/rules", body: { days: 1 }, loc: ["body", "days"], type: "list_type" },
  { call: "PATCH /commands/rules/1", body: { enabled: 1 }, loc: ["body", "enabled"], type: "bool_type" },
];
for (const { call, body, loc, type } of mistyped) {
  test(`${call} ${JSON.stringify(body)}: 422 at ${loc.join(".")}`, async () => {
    const [method = "", path = ""] = call.split(" ");
    const answer = await running.api.send(method, path, { body: JSON.stringify(body), headers: json });
    assert.equal(answer.status, 422);
    const issue = answer.body.detail.find((one: { loc: unknown[] }) => one.loc.join() === loc.join());
    assert.equal(issue?.type, type, answer.text);
  });
}

const queries = ["status=lost", "limit=0", "limit=1001", "limit=ten", "cursor=nonsense", "active_only=maybe"];
for (const query of queries) {
  test(`GET /messages?${query}: 422`, async () => {
    const { status, body } = await running.api.get(`/messages?${query}`);
    assert.equal(status, 422);
    assert.deepEqual(body.detail[0].loc, ["query", query.split("=")[0]]);
  });
}

test("an unknown parameter of the query is named", async () => {
  const { status, body } = await running.api.get("/messages?stauts=sent");
  assert.equal(status, 200);
  assert.deepEqual(body.warnings, ['unknown field "stauts", did you mean "status"?']);
});

// ---------------------------------------------------------------- sizes

const large = JSON.stringify({ messages: [], padding: "x".repeat(MAX_BODY) });

test("a body that declares more than max_body_bytes is a 413 before it is sent", async () => {
  const { status, body } = await answerTo([
    "POST /commands/add-messages HTTP/1.1",
    "host: x",
    "x-api-token: test-token",
    "content-type: application/json",
    `content-length: ${large.length}`,
    "",
    "",
  ]);
  assert.equal(status, 413);
  assert.equal(body.ok, false);
  assert.match(body.error, /100000 bytes/);
  assert.equal("rejected" in body, false);
});

test("a body sent whole and too large is a 413", async () => {
  const { status, body } = await running.api.post("/commands/add-messages", {
    messages: [],
    padding: "x".repeat(MAX_BODY),
  });
  assert.deepEqual([status, body.ok], [413, false]);
});

test("a chunked body that grows beyond max_body_bytes is a 413", async () => {
  const chunks = new ReadableStream({
    start(controller) {
      for (let at = 0; at < large.length; at += 10_000) controller.enqueue(Buffer.from(large.slice(at, at + 10_000)));
      controller.close();
    },
  });
  const { status, body } = await running.api.send("POST", "/commands/add-messages", { body: chunks, headers: json });
  assert.deepEqual([status, body.ok], [413, false]);
});

test("a chunked body within max_body_bytes is taken", async () => {
  const small = Buffer.from(JSON.stringify({ messages: [aMessage({ id: "chunked" })] }));
  const chunks = new ReadableStream({
    start(controller) {
      for (const byte of small) controller.enqueue(new Uint8Array([byte]));
      controller.close();
    },
  });
  const { status, body } = await running.api.send("POST", "/commands/add-messages", { body: chunks, headers: json });
  assert.deepEqual([status, body], [200, { ok: true, queued: 1, rejected: [] }]);
});

test("more than max_bytes_in_flight in several requests is a 503 with Retry-After, until one of them has ended", async () => {
  const begun = connect(Number(new URL(running.url).port), "127.0.0.1");
  const body = JSON.stringify({ messages: [], padding: "x".repeat(90_000) });
  begun.write(
    `POST /commands/add-messages HTTP/1.1\r\nhost: x\r\nx-api-token: test-token\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
  );
  begun.write(body.slice(0, 1000));
  const second = () => running.api.send("POST", "/commands/add-messages", { body, headers: json });
  let refused = await second();
  // The first request may not have been read yet when the second came.
  while (refused.status === 200) refused = await second();
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.equal("rejected" in refused.body, false);

  begun.write(body.slice(1000));
  const [answer] = await once(begun, "data");
  assert.match(String(answer), /^HTTP\/1.1 200/);
  begun.destroy();
  let taken = await second();
  for (let tries = 0; taken.status === 503 && tries < 100; tries += 1) taken = await second();
  assert.equal(taken.status, 200);
});

test("a client that goes away in the middle of its body gives back what it held", async () => {
  for (let i = 0; i < 5; i += 1) {
    const gone = connect(Number(new URL(running.url).port), "127.0.0.1");
    gone.write(
      "POST /commands/add-messages HTTP/1.1\r\nhost: x\r\nx-api-token: test-token\r\ncontent-type: application/json\r\ncontent-length: 90000\r\n\r\n{",
    );
    await running.api.get("/health");
    gone.destroy();
    await once(gone, "close");
  }
  const body = JSON.stringify({ messages: [], padding: "x".repeat(90_000) });
  let answer = await running.api.send("POST", "/commands/add-messages", { body, headers: json });
  for (let tries = 0; answer.status === 503 && tries < 100; tries += 1) {
    answer = await running.api.send("POST", "/commands/add-messages", { body, headers: json });
  }
  assert.equal(answer.status, 200);
  assert.equal(
    running.proc.log.some(({ event }) => event === "failed"),
    false,
  );
});

// ---------------------------------------------------------------- paths, verbs, tokens

const unknown = [
  "GET /",
  "GET /nothing",
  "POST /commands/send-message",
  "GET /pending",
  "GET /deferred",
  "GET /messages/",
  "GET /commands",
];
for (const call of unknown) {
  test(`${call}: 404`, async () => {
    const [method = "", path = ""] = call.split(" ");
    const { status, body } = await running.api.send(method, path);
    assert.deepEqual([status, body], [404, { ok: false, error: "Not Found", detail: "Not Found" }]);
  });
}

const wrongVerbs: [call: string, allow: string][] = [
  ["GET /commands/add-messages", "POST"],
  ["PUT /account", "POST"],
  ["POST /messages", "GET, HEAD"],
  ["DELETE /messages/a", "GET, HEAD"],
  ["PATCH /account/a", "DELETE, GET, HEAD"],
  ["PUT /commands/rules", "GET, HEAD, POST"],
  ["GET /commands/rules/1", "DELETE, PATCH"],
  ["POST /health", "GET, HEAD"],
  ["DELETE /docs", "GET, HEAD"],
];
for (const [call, allow] of wrongVerbs) {
  test(`${call}: 405`, async () => {
    const [method = "", path = ""] = call.split(" ");
    const answer = await running.api.send(method, path);
    assert.equal(answer.status, 405);
    assert.deepEqual(answer.body, { ok: false, error: "Method Not Allowed", detail: "Method Not Allowed" });
    assert.equal(answer.headers.get("allow"), allow);
  });
}

const guarded = [
  "GET /messages",
  "POST /commands/add-messages",
  "GET /accounts",
  "GET /status",
  "GET /metrics",
  "GET /nothing",
  "PUT /account",
  "GET /docs.json",
  "GET /docs/",
  "GET /docs/nothing.js",
];
const open = [
  "/livez",
  "/readyz",
  "/health",
  "/openapi.json",
  "/docs",
  "/docs/start.js",
  "/docs/swagger-ui.css",
  "/docs/swagger-ui-bundle.js",
];
const wrong: Record<string, string>[] = [
  {},
  { "x-api-token": "wrong" },
  { "x-api-token": "" },
  { "x-api-token": "test-token2" },
  { authorization: "Bearer wrong" },
  { authorization: "test-token" },
  { authorization: "Basic dGVzdC10b2tlbjo=" },
];
for (const call of guarded) {
  test(`${call} without the token: 401`, async () => {
    const [method = "", path = ""] = call.split(" ");
    const nobody = apiClient(running.url, null);
    for (const headers of wrong) {
      const { status, body } = await nobody.send(method, path, { headers });
      assert.equal(status, 401);
      assert.deepEqual(body, {
        ok: false,
        error: "Invalid or missing API token",
        detail: "Invalid or missing API token",
      });
    }
  });
}

test("the token is taken in either header, the scheme in any case", async () => {
  const nobody = apiClient(running.url, null);
  const right: Record<string, string>[] = [
    { "x-api-token": "test-token" },
    { authorization: "Bearer test-token" },
    { authorization: "bearer test-token" },
  ];
  for (const headers of right) {
    assert.equal((await nobody.get("/status", headers)).status, 200);
  }
});

test("probes and documents are open", async () => {
  for (const path of open) assert.equal((await apiClient(running.url, null).get(path)).status, 200, path);
});

test("the token is checked before the body is read", async () => {
  const { status } = await answerTo([
    "POST /commands/add-messages HTTP/1.1",
    "host: x",
    "x-api-token: wrong",
    "content-type: application/json",
    `content-length: ${MAX_BODY}`,
    "",
    "{",
  ]);
  assert.equal(status, 401);
});

test("the metrics token opens /metrics and nothing else", async () => {
  const scraper = apiClient(running.url, "metrics-token");
  assert.equal((await scraper.get("/metrics")).status, 200);
  assert.equal((await scraper.get("/status")).status, 401);
  assert.equal((await scraper.addMessages()).status, 401);
});

test("allow_anonymous asks for no token", async () => {
  const anonymous = await startApi({ env: { ALLOW_ANONYMOUS: "true" } });
  const nobody = apiClient(anonymous.url, null);
  assert.equal((await nobody.get("/status")).status, 200);
  assert.equal((await nobody.get("/metrics")).status, 200);
  assert.equal((await nobody.addMessages(aMessage())).status, 200);
  await anonymous.stop();
});

test("HEAD is answered like GET, without a body", async () => {
  const { status, text: body } = await running.api.send("HEAD", "/status");
  assert.deepEqual([status, body], [200, ""]);
});

/** Sends lines as they are, and reads the answer although the request may never have been finished. */
async function answerTo(lines: string[]) {
  const socket = connect(Number(new URL(running.url).port), "127.0.0.1");
  socket.write(lines.join("\r\n"));
  const answer = await text(socket);
  const [head = "", body = ""] = answer.split("\r\n\r\n");
  return { status: Number(head.split(" ")[1]), body: JSON.parse(body) };
}
