import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { type ClientOptions, createClient } from "@async-mail/reporter/client";
import { createClock } from "@async-mail/runtime/clock";
import { Webhook } from "standardwebhooks";
import { startSyncClient } from "../../support/sync-client.ts";
import { reporting } from "./reporting.ts";

const FIRST = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECOND = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/** What the endpoint got of one poll. */
async function polled(t: import("node:test").TestContext, client: Partial<ClientOptions>) {
  const running = await reporting(t, { client });
  await running.pass();
  return { ...running.client.calls[0]!, now: running.clock.now() };
}

const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

for (const [name, options, expected] of [
  ["none", {}, undefined],
  ["basic, with the first request", { user: "app", password: "pässword:x" }, basic("app:pässword:x")],
  ["basic without a password", { user: "app" }, basic("app:")],
  ["bearer", { token: "secret" }, "Bearer secret"],
  ["bearer wins over user and password", { token: "secret", user: "app", password: "p" }, "Bearer secret"],
] as const) {
  test(`authorization: ${name}`, async (t) => {
    const { headers } = await polled(t, options);
    assert.equal(headers.authorization, expected);
  });
}

test("the request says who calls and what it wants", async (t) => {
  const { headers } = await polled(t, { userAgent: "gnr-async-mail-service/1.2.3" });
  assert.equal(headers["user-agent"], "gnr-async-mail-service/1.2.3");
  assert.equal(headers["content-type"], "application/json");
  assert.equal(headers.accept, "application/json");
  assert.equal(headers["webhook-signature"], undefined);
});

test("a signed POST is verified by the library with either secret, and with no other", async (t) => {
  const endpoint = await startSyncClient();
  const clock = createClock(0);
  const client = createClient({
    url: endpoint.url,
    user: null,
    password: null,
    token: null,
    timeoutMs: 5000,
    signingSecret: `${FIRST}, ${SECOND}`,
    userAgent: "test",
    newId: () => "0b1c",
  });
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
  const options = {
    url: "http://localhost",
    user: null,
    password: null,
    token: null,
    timeoutMs: 1,
    userAgent: "",
    newId: () => "",
  };
  assert.throws(
    () => createClient({ ...options, signingSecret: "whsec_s3cret!" }),
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
  const running = await reporting(t, { client: { url: `http://127.0.0.1:${port}/`, timeoutMs: 200 } });
  await running.pass();
  assert.equal(running.log.at(-1).reason, "no answer within 0.2 s");
});
