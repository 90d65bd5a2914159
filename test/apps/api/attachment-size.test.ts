import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { aMessage } from "../../support/messages.ts";
import { type RunningApi, startApi } from "./running-api.ts";

let running: RunningApi;
before(async () => {
  running = await startApi({ config: "[attachments]\nmax_bytes = 1000\n" });
});
after(() => running.stop());

const withContent = (id: string, bytes: number) =>
  aMessage({ id, attachments: [{ content: Buffer.alloc(bytes).toString("base64"), filename: "a" }] });

test("inline content above attachments.max_bytes is refused, with both sizes", async () => {
  const messages = [withContent("largest", 1000), withContent("larger", 1001)];
  const { status, body } = await running.api.post("/commands/add-messages", { messages });
  assert.equal(status, 200);
  const reason = "invalid attachments[0].content: it has 1001 bytes, attachments.max_bytes allows at most 1000";
  assert.deepEqual(body, { ok: true, queued: 1, rejected: [{ id: "larger", reason }] });
});
