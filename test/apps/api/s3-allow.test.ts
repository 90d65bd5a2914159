import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { aMessage } from "../../support/messages.ts";
import { type RunningApi, startApi } from "./running-api.ts";

let running: RunningApi;
before(async () => {
  running = await startApi({ config: "[s3]\nallow = docs/invoices, public\n" });
});
after(() => running.stop());

const attached = (id: string, ...places: { bucket: string; key: string }[]) =>
  aMessage({ id, attachments: [{ content: "YQ==", filename: "a" }, ...places.map((s3) => ({ s3 }))] });

test("attachments outside s3.allow are refused with their number, and the others are queued", async () => {
  const inside = { bucket: "docs", key: "invoices/7.pdf" };
  const { status, body } = await running.api.post("/commands/add-messages", {
    messages: [
      attached("in", inside, { bucket: "public", key: "any.png" }),
      attached("beside", { bucket: "docs", key: "invoices-secret/7.pdf" }),
      attached("around", inside, { bucket: "docs", key: "invoices/../secret.pdf" }),
      attached("malformed", inside, { bucket: "docs/invoices", key: "7.pdf" }),
    ],
  });
  assert.equal(status, 200);
  assert.deepEqual(body, {
    ok: true,
    queued: 1,
    rejected: [
      { id: "beside", reason: "invalid attachments[1].s3: not allowed" },
      { id: "around", reason: "invalid attachments[2].s3: not allowed" },
      { id: "malformed", reason: 'invalid attachments[2].s3.bucket: "docs/invoices" is not the name of a bucket' },
    ],
  });
});
