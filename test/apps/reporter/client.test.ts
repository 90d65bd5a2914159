import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { createClient } from "@async-mail/reporter/client";
import type { Endpoint, SyncSettings } from "@async-mail/reporter/endpoint";
import { createClock } from "@async-mail/runtime/clock";
import { systemLookup } from "@async-mail/runtime/system-lookup";
import { Webhook } from "standardwebhooks";
import { startSyncClient } from "../../support/sync-client.ts";
import { reporting } from "./reporting.ts";

const FIRST = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECOND = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/** What the endpoint got of one poll. */
async function polled(t: TestContext, options: { sync?: Partial<SyncSettings>; client?: { userAgent: string } }) {
  const running = await reporting(t, options);
  await running.pass();
  return { ...running.client.calls[0]!, now: running.clock.now() };
}

const ENDPOINT: Endpoint = {
  url: "http://localhost",
  authorization: null,
  signingSecret: null,
  acknowledge: "body",
  anyAddress: true,
};
const OPTIONS = { timeoutMs: 5000, userAgent: "test", newId: () => "", lookup: systemLookup({ patienceMs: 5000 }) };

const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

for (const [name, options, expected] of [
  ["none", {}, undefined],
  ["basic, with the first request", { proxySyncUser: "app", proxySyncPassword: "pässword:x" }, basic("app:pässword:x")],
  ["basic without a password", { proxySyncUser: "app" }, basic("app:")],
  ["bearer", { proxySyncToken: "secret" }, "Bearer secret"],
  [
    "bearer wins over user and password",
    { proxySyncToken: "secret", proxySyncUser: "app", proxySyncPassword: "p" },
    "Bearer secret",
  ],
] as const) {
  test(`authorization: ${name}`, async (t) => {
    const { headers } = await polled(t, { sync: options });
    assert.equal(headers.authorization, expected);
  });
}

test("the request says who calls and what it wants", async (t) => {
  const { headers } = await polled(t, { client: { userAgent: "gnr-async-mail-service/1.2.3" } });
  assert.equal(headers["user-agent"], "gnr-async-mail-service/1.2.3");
  assert.equal(headers["content-type"], "application/json");
  assert.equal(headers.accept, "application/json");
  assert.equal(headers["webhook-signature"], undefined);
});

test("a signed POST is verified by the library with either secret, and with no other", async (t) => {
  const endpoint = await startSyncClient();
  const clock = createClock(0);
  const signed = { ...ENDPOINT, url: endpoint.url, signingSecret: `${FIRST}, ${SECOND}` };
  const client = createClient(signed, { ...OPTIONS, newId: () => "0b1c" });
  t.after(async () => {
    await client.close();
    await endpoint.close();
  });
  await client.post([], clock.now(), new AbortController().signal);
  const { rawBody, headers } = endpoint.calls[0]!;
  assert.equal(headers["webhook-id"], "msg_0b1c");
  for (const secret of [FIRST, SECOND]) {
    const body = new Webhook(secret).verify(rawBody, headers as Record<string, string>);
    assert.deepEqual(body, { delivery_report: [] });
  }
  const other = new Webhook("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
  assert.throws(() => other.verify(rawBody, headers as Record<string, string>));
  assert.throws(() => new Webhook(FIRST).verify(`${rawBody} `, headers as Record<string, string>));
});

test("a signing secret that is none is refused without being told", () => {
  assert.throws(
    () => createClient({ ...ENDPOINT, signingSecret: "whsec_s3cret!" }, OPTIONS),
    (error: Error) => {
      return /sync\.signing_secret/.test(error.message) && !/s3cret/.test(error.message);
    },
  );
});

test("a time-out need not be whole milliseconds", async (t) => {
  const running = await reporting(t, { client: { timeoutMs: 1.1 * 1000 } });
  await running.pass();
  assert.equal(running.log.at(-1).event, "polled");
});

test("the time-out is for the whole call: a client that drips its answer is cut", async (t) => {
  const server = createServer((_request, response) => {
    response.writeHead(200);
    const drip = setInterval(() => response.write(" "), 20);
    response.on("close", () => clearInterval(drip));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const running = await reporting(t, {
    sync: { proxySyncUrl: `http://127.0.0.1:${port}/` },
    client: { timeoutMs: 200 },
  });
  await running.pass();
  assert.equal(running.log.at(-1).reason, "no answer within 0.2 s");
});

test("a call that still waits for its connection is cut as any other, and the endpoint hears nothing of it", async (t) => {
  const sockets: Socket[] = [];
  let heard = "";
  // It takes the connection and says nothing, so that TLS never comes about.
  const server = createTcpServer((socket) => {
    sockets.push(socket);
    socket.setEncoding("latin1").on("data", (text) => {
      heard += text;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  for (const anyAddress of [true, false]) {
    const client = createClient({ ...ENDPOINT, url: `https://127.0.0.1:${port}/`, anyAddress }, OPTIONS);
    t.after(() => client.close());
    const lost = new AbortController();
    server.once("connection", () => lost.abort());
    const result = await client.post([], createClock(0).now(), lost.signal);
    assert.deepEqual(result, { answered: false, reason: "cut short, since this reporter stops" });
  }
  for (const socket of sockets) socket.destroy();
  server.close();
  assert.doesNotMatch(heard, /POST/);
});
