import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import test, { type TestContext } from "node:test";
import { createMetrics } from "@async-mail/runtime/metrics";
import { type StatusOptions, serveStatus, statusPorts } from "@async-mail/runtime/status-server";
import { readMetrics } from "./prometheus.ts";

const log = {
  listening() {},
  failed(error: unknown) {
    throw error;
  },
};

async function serve(context: TestContext, options: Partial<StatusOptions> = {}) {
  const { registry } = createMetrics({ process: "reporter", version: "1.0.0" });
  const server = await serveStatus({
    host: "127.0.0.1",
    ports: [],
    registry,
    tokens: { api: "api-token", metrics: "metrics-token" },
    allowAnonymous: false,
    ready: async () => null,
    log,
    ...options,
  });
  context.after(() => server.close());
  const ask = async (path: string, headers: Record<string, string> = {}, method = "GET") => {
    const response = await fetch(server.url + path, { method, headers });
    return { status: response.status, headers: response.headers, body: await response.text() };
  };
  return { ...server, ask };
}

/** A port that is taken, with the next ones probably free. */
async function occupy(context: TestContext, port = 0): Promise<number> {
  const server = createServer().listen(port, "127.0.0.1");
  await new Promise((resolve, reject) => server.once("listening", resolve).once("error", reject));
  context.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

test("/metrics is what Prometheus reads", async (context) => {
  const { ask } = await serve(context);
  const { status, headers, body } = await ask("/metrics", { authorization: "Bearer metrics-token" });
  assert.equal(status, 200);
  assert.match(headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  const build = readMetrics(body).get("asyncmail_build_info")!;
  assert.equal(build.metrics[0]!.labels!.process, "reporter");
});

test("health is open, and says what the contract says", async (context) => {
  const { ask } = await serve(context);
  assert.deepEqual(JSON.parse((await ask("/health")).body), { status: "ok" });
  assert.deepEqual(JSON.parse((await ask("/livez")).body), { ok: true });
  const { status, body, headers } = await ask("/readyz?verbose");
  assert.deepEqual([status, JSON.parse(body)], [200, { ok: true }]);
  assert.equal(headers.get("content-type"), "application/json");
});

test("not ready is 503 with the reason", async (context) => {
  const { ask } = await serve(context, { ready: async () => "draining" });
  const { status, body, headers } = await ask("/readyz");
  assert.equal(status, 503);
  assert.deepEqual(JSON.parse(body), { ok: false, error: "draining", detail: "draining" });
  assert.ok(headers.get("retry-after"));
  assert.equal((await ask("/livez")).status, 200, "alive all the same");
});

test("however many ask whether it is ready, few looks are taken, and everyone is answered", async (context) => {
  let looks = 0;
  const { ask } = await serve(context, {
    async ready() {
      looks += 1;
      return null;
    },
  });
  const startedMs = performance.now();
  for (let round = 0; round < 20; round++) {
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask("/readyz")));
    assert.ok(answers.every(({ status }) => status === 200));
  }
  const gaps = (performance.now() - startedMs) / 20;
  assert.ok(looks >= 20 && looks <= gaps + 1, `${looks} looks in ${gaps} gaps of 20 ms`);
});

test("each token opens what it may, in either header", async (context) => {
  const { ask } = await serve(context);
  const refusal = { ok: false, error: "Invalid or missing API token", detail: "Invalid or missing API token" };
  const cases: [path: string, headers: Record<string, string>, status: number][] = [
    ["/metrics", {}, 401],
    ["/metrics", { "x-api-token": "wrong" }, 401],
    ["/metrics", { authorization: "Basic api-token" }, 401],
    ["/metrics", { "x-api-token": "metrics-token" }, 200],
    ["/metrics", { "x-api-token": "api-token" }, 200],
    ["/metrics", { authorization: "Bearer api-token" }, 200],
    ["/metrics", { authorization: "bearer metrics-token" }, 200],
    ["/unknown", {}, 401],
    ["/unknown", { "x-api-token": "metrics-token" }, 401],
    ["/unknown", { "x-api-token": "api-token" }, 404],
    ["/metrics/", { "x-api-token": "api-token" }, 404],
  ];
  for (const [path, headers, status] of cases) {
    const answer = await ask(path, headers);
    assert.equal(answer.status, status, `${path} with ${JSON.stringify(headers)}`);
    if (status === 401) assert.deepEqual(JSON.parse(answer.body), refusal);
    if (status === 404) assert.equal(JSON.parse(answer.body).detail, "Not Found");
  }
});

test("wrong verbs are 405, HEAD is GET without a body", async (context) => {
  const { ask } = await serve(context);
  const post = await ask("/health", {}, "POST");
  assert.deepEqual([post.status, JSON.parse(post.body).detail], [405, "Method Not Allowed"]);
  assert.equal(post.headers.get("allow"), "GET, HEAD");
  const head = await ask("/metrics", { "x-api-token": "api-token" }, "HEAD");
  assert.deepEqual([head.status, head.body], [200, ""]);
});

test("with no token at all it listens on loopback only, and asks for none", async (context) => {
  const { url, ask } = await serve(context, { host: "0.0.0.0", tokens: { api: null, metrics: null } });
  assert.match(url, /^http:\/\/127\.0\.0\.1:/);
  assert.equal((await ask("/metrics")).status, 200);
  assert.equal((await ask("/unknown")).status, 404);
  // All of 127/8 is loopback, but only 127.0.0.1 was bound: a wildcard socket would answer here.
  const refused = await new Promise((resolve) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.2");
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code));
    socket.on("connect", () => resolve(socket.destroy() && "connected"));
  });
  assert.equal(refused, "ECONNREFUSED");
});

test("with a token it listens where it is told to", async (context) => {
  const { url } = await serve(context, { host: "0.0.0.0" });
  const answer = await fetch(`${url.replace("127.0.0.1", "127.0.0.2")}/health`);
  assert.equal(answer.status, 200);
});

test("allow_anonymous asks for none", async (context) => {
  const { ask } = await serve(context, { allowAnonymous: true });
  assert.equal((await ask("/metrics")).status, 200);
});

test("the first free port of the range is taken, and any when there is none", async (context) => {
  const taken = await occupy(context);
  const alsoTaken = await occupy(context);
  const free = await occupyAndFree();
  const inRange = await serve(context, { ports: [taken, free, alsoTaken] });
  assert.equal(new URL(inRange.url).port, String(free));
  const anywhere = await serve(context, { ports: [taken, alsoTaken] });
  assert.ok(![taken, alsoTaken].includes(Number(new URL(anywhere.url).port)));
  assert.equal((await anywhere.ask("/health")).status, 200);
});

async function occupyAndFree(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("the ranges are those of the contract, or begin where the operator says", () => {
  assert.deepEqual([statusPorts("dispatcher", null)[0], statusPorts("dispatcher", null).at(-1)], [9110, 9119]);
  assert.deepEqual([statusPorts("reporter", null)[0], statusPorts("reporter", null).at(-1)], [9120, 9129]);
  assert.deepEqual(statusPorts("reporter", 65534), [65534, 65535]);
  assert.deepEqual(statusPorts("reporter", 0), []);
});

test("an address that is not ours is named", async () => {
  const { registry } = createMetrics({ process: "reporter", version: "1" });
  const tokens = { api: "t", metrics: null };
  const rest = { registry, tokens, allowAnonymous: false, ready: async () => null, log };
  const start = serveStatus({ host: "192.0.2.1", ports: [9110], ...rest });
  await assert.rejects(start, /metrics\.host 192\.0\.2\.1: EADDRNOTAVAIL/);
});

test("closing waits for no connection, idle or half way through a request", async (context) => {
  const { url, ask, close } = await serve(context);
  const halfway = connect(Number(new URL(url).port), "127.0.0.1");
  halfway.on("error", () => {});
  halfway.write("GET /health HTTP/1.1\r\nHost:");
  await ask("/health");
  await close();
  await assert.rejects(fetch(`${url}/health`));
});

test("a fault in ready is 500, logged, and no end", async (context) => {
  const logged: unknown[] = [];
  const { ask } = await serve(context, {
    async ready() {
      throw new Error("disk I/O error");
    },
    log: { ...log, failed: (error) => void logged.push((error as Error).message) },
  });
  const { status, body } = await ask("/readyz");
  assert.deepEqual([status, JSON.parse(body).detail], [500, "Internal Server Error"]);
  assert.deepEqual(logged, ["disk I/O error"]);
  assert.equal((await ask("/livez")).status, 200);
});
