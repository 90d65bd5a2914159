import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import test from "node:test";
import { createReceiver, type Received } from "@async-mail/api/receive";

test("a body that stalls is given up, and its room is free again", async (t) => {
  const receive = createReceiver({ maxBodyBytes: 1000, maxBytesInFlight: 1000, stalledMs: 100 });
  const received: Promise<Received>[] = [];
  const server = createServer((incoming, outgoing) => {
    const one = receive(incoming, outgoing);
    received.push(one);
    void one.then(() => outgoing.end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;

  const stalled = connect(port, "127.0.0.1");
  stalled.on("error", () => {});
  stalled.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{");
  await once(stalled, "close");
  assert.equal(await received[0], "gone");

  const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "x".repeat(900) });
  assert.equal(response.status, 200);
  assert.equal(((await received[1]) as Buffer).length, 900);
});
