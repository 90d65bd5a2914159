import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { listeningUrls } from "@async-mail/runtime/listening";

const skip = process.platform !== "linux" && "only Linux tells";

for (const [host, shown] of [
  ["127.0.0.1", "127.0.0.1"],
  ["127.0.0.2", "127.0.0.2"],
  ["0.0.0.0", "127.0.0.1"],
  ["::1", "[0000:0000:0000:0000:0000:0000:0000:0001]"],
  ["::", "[::1]"],
] as const)
  test(`a process that listens on ${host} is found at ${shown}`, { skip }, async (t) => {
    const server = createServer().listen(0, host);
    try {
      await once(server, "listening");
    } catch (error) {
      return t.skip(`this machine has no ${host} (${(error as NodeJS.ErrnoException).code})`);
    }
    const { port } = server.address() as AddressInfo;
    assert.deepEqual(listeningUrls(process.pid), [`http://${shown}:${port}`]);
    server.close();
    await once(server, "close");
    assert.deepEqual(listeningUrls(process.pid), []);
  });

test("of a process that is not there it says nothing", () => assert.equal(listeningUrls(2 ** 30), null));
