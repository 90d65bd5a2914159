import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { assembled } from "@async-mail/dispatcher/composed";
import { MessageBody } from "@async-mail/dispatcher/message-body";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { wholeMessage } from "../../support/whole-message.ts";

const SIZES = [0, 1, 2, 3, 56, 57, 58, 114, 57 * 840 - 1, 57 * 840, 57 * 840 + 1, 200_000];

describe("a message body", () => {
  it("holds its attachments as base64 in lines of 76, whatever their size, and is as long as it said", async () => {
    for (const bytes of SIZES) {
      const content = Buffer.alloc(bytes, "Any old bytes. ");
      const composed = assembled(Buffer.from("headbodyend"), [{ at: 4, attachment: 0 }], [{ base64: content }]);
      const whole = (await wholeMessage(composed)).toString("latin1");
      assert.equal(whole.length, composed.size, `${bytes} bytes`);
      const encoded = whole.slice(4, -7);
      assert.equal(encoded.replaceAll("\r\n", ""), content.toString("base64"), `${bytes} bytes`);
      assert.ok(encoded.split("\r\n").every((line, index, all) => line.length === 76 || index === all.length - 1));
    }
  });

  it("reads files from where their bytes begin, several times when it is sent several times", async () => {
    const path = join(temporaryFolder(), "file");
    const content = Buffer.alloc(150_000, "0123456789");
    writeFileSync(path, Buffer.concat([Buffer.from("head\n"), content]));
    const handle = await open(path);
    const file = { handle, offset: 5, bytes: content.length };
    const composed = assembled(Buffer.from("<>"), [{ at: 1, attachment: 0 }], [{ base64: file }]);
    for (let time = 0; time < 2; time++) {
      const whole = (await wholeMessage(composed)).toString("latin1");
      assert.equal(whole.slice(1, -1).replaceAll("\r\n", ""), content.toString("base64"));
    }
    await handle.close();
  });

  it("fails when a file has become shorter, and never ends then", async () => {
    const path = join(temporaryFolder(), "file");
    writeFileSync(path, "short");
    const handle = await open(path);
    const file = { handle, offset: 0, bytes: 500 };
    const steps: string[] = [];
    await new Promise<void>((resolve) => {
      const body = new MessageBody(assembled(Buffer.from("<>"), [{ at: 1, attachment: 0 }], [{ base64: file }]), {
        begun: () => steps.push("begun"),
        mayEnd: () => steps.push("mayEnd") > 0,
        ended: () => steps.push("ended"),
        failed: (error) => {
          steps.push(String(error));
          resolve();
        },
      });
      body.resume();
    });
    assert.deepEqual(steps, ["begun", "Error: an attachment's file has become shorter"]);
    await handle.close();
  });
});
