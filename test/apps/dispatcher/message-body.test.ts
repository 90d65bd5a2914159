import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { assembled } from "@async-mail/dispatcher/composed";
import { wirePieces } from "@async-mail/dispatcher/message-body";
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
    const { parts } = assembled(Buffer.from("<>"), [{ at: 1, attachment: 0 }], [{ base64: file }]);
    const ends: boolean[] = [];
    await assert.rejects(async () => {
      for await (const { isLast } of wirePieces(parts)) ends.push(isLast);
    }, /^UnreadableFile: an attachment's file has become shorter$/);
    assert.ok(!ends.includes(true));
    await handle.close();
  });
});

describe("a message body on the wire", () => {
  it("doubles each dot at a line's beginning, wherever it is cut, and ends with the final one", async () => {
    const line = ".0123456789abcdef..\r\n";
    for (const lines of [1, 2, 65_536 / 8, 10_000])
      for (const shift of [0, 1, 2, 20]) {
        const text = `${"x".repeat(shift)}\r\n${line.repeat(lines)}`;
        const wire = await onTheWire(Buffer.from(text));
        assert.equal(wire, `${text.replaceAll("\r\n.", "\r\n..")}.\r\n`);
      }
  });

  it("ends a last line that has no end of its own, and a message of nothing", async () => {
    assert.equal(await onTheWire(Buffer.from("a\r\n.b")), "a\r\n..b\r\n.\r\n");
    assert.equal(await onTheWire(Buffer.from(".")), "..\r\n.\r\n");
    assert.equal(await onTheWire(Buffer.alloc(0)), "\r\n.\r\n");
  });
});

async function onTheWire(text: Buffer): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const { bytes, isLast } of wirePieces([text])) {
    assert.ok(!pieces.includes(bytes));
    pieces.push(bytes);
    if (isLast) break;
  }
  return Buffer.concat(pieces).toString();
}
