import assert from "node:assert/strict";
import test from "node:test";
import { eventually } from "../support/eventually.ts";
import { bytes } from "../support/file-answers.ts";
import { type FileServer, startFileServer } from "../support/file-server.ts";
import { S3_KEYS, type S3Server, startS3Server } from "../support/s3-server.ts";
import { startService } from "../support/service.ts";
import type { Received } from "../support/smtp-server.ts";
import { type Generated, generatedMessage, type Store } from "./generated-message.ts";
import { type ReadMail, readByMailparser, readByPython } from "./read-mail.ts";

const SEED = "round trip";
const MESSAGES = 200;
const IN_ONE_CALL = 50;

test("messages of all kinds and sources arrive as they were posted, by two readers that know nothing of us", async (t) => {
  const [files, s3] = [await startFileServer(), await startS3Server()];
  t.after(() => Promise.all([files.close(), s3.close()]));
  const service = await startService({
    config: "[attachments]\nallow_hosts = 127.0.0.1\n[s3]\nforce_path_style = true\n",
    // Its own idea of an address is narrower than RFC 5321: no quotes, and 64 octets before the @.
    smtp: { server: { lenientAddressParsing: true } },
    env: {
      AWS_ENDPOINT_URL_S3: s3.endpoint,
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: S3_KEYS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey,
    },
  });
  const store = stores(files, s3);
  const generated: Generated[] = [];
  for (let number = 0; number < MESSAGES; number++) generated.push(await generatedMessage(SEED, number, store));

  for (let first = 0; first < MESSAGES; first += IN_ONE_CALL) {
    const some = generated.slice(first, first + IN_ONE_CALL).map(({ posted }) => posted);
    const { body } = await service.api.addMessages(...some);
    assert.deepEqual(body, { ok: true, queued: some.length, rejected: [] });
  }
  await eventually(async () => (await service.api.get("/status")).body.pending_messages === 0, 120_000);
  const { body } = await service.api.get("/messages?status=error");
  assert.deepEqual(
    body.messages.map(({ id, error }: { id: string; error: string }) => [id, error]),
    [],
  );
  const received = byId(await service.smtp.received(MESSAGES), await messageIds(service.api));

  const python = readByPython(received);
  await t.test("by mailparser", async () => {
    const found: string[] = [];
    for (const { posted, wanted } of generated)
      found.push(...differences(posted.id, await readByMailparser(received.get(posted.id) as Buffer), wanted));
    assert.equal(found.join("\n"), "");
  });

  await t.test("by Python's email", async (t) => {
    const mails = await python;
    if (mails === null)
      return t.skip("there is no python3 here, and no second reader without it; mailparser has read them");
    const found = generated.flatMap(({ posted, wanted }) =>
      differences(posted.id, mails.get(posted.id) as ReadMail, wanted),
    );
    assert.equal(found.join("\n"), "");
  });

  await t.test("in lines that SMTP allows, each ended by CRLF", () => {
    for (const [id, raw] of received) {
      const text = raw.toString("latin1");
      assert.doesNotMatch(text, /\r(?!\n)|(?<!\r)\n|\0/, id);
      const longest = Math.max(...text.split("\r\n").map((line) => line.length));
      assert.ok(longest <= 998, `${id} has a line of ${longest} octets`);
    }
  });

  assert.equal(service.smtp.messages.length, MESSAGES, "none arrived twice");
  assert.deepEqual(await service.stop(), [0, 0, 0]);
});

function stores(files: FileServer, s3: S3Server): Store {
  return {
    content: async (_, content) => ({ content: content.toString("base64") }),
    url: async (path, content) => {
      const encoded = `/${path.split("/").map(encodeURIComponent).join("/")}`;
      files.files[encoded] = bytes(content);
      return { url: files.url(encoded) };
    },
    s3: async (path, content) => {
      await s3.put("attachments", path, content);
      return { s3: { bucket: "attachments", key: path } };
    },
  };
}

async function messageIds(api: {
  get(path: string): Promise<{ body: { messages: { id: string; message_id: string }[] } }>;
}) {
  const { body } = await api.get("/messages");
  return new Map(body.messages.map(({ id, message_id }) => [message_id, id]));
}

function byId(received: Received[], ids: Map<string, string>): Map<string, Buffer> {
  return new Map(
    received.map(({ raw }) => {
      const messageId = /^message-id: (.*)$/im.exec(raw.toString("latin1"))?.[1]?.trim() ?? "";
      return [ids.get(messageId) ?? messageId, raw];
    }),
  );
}

/** One line for each part of a mail that is not as it was posted. */
function differences(id: string, read: ReadMail, wanted: ReadMail): string[] {
  const [is, shall] = [comparable(read), comparable(wanted)].map((mail) => Object.entries(mail)) as [Parts, Parts];
  return is.flatMap(([part, value], index) => {
    const [actual, expected] = [JSON.stringify(value), JSON.stringify(shall[index]?.[1])];
    return actual === expected || value === null
      ? []
      : [`${id} ${part}: ${actual.slice(0, 500)} instead of ${expected.slice(0, 500)}`];
  });
}

type Parts = [part: string, value: unknown][];

/** Without what no mail can carry (RFC 5322, RFC 2046): the kind of a line break, the end of the last line, half a character. */
function comparable({ names, text, html, attachments, ...mail }: ReadMail) {
  return {
    subject: mail.subject,
    from: mail.from,
    to: mail.to,
    cc: mail.cc,
    headers: mail.headers,
    names: names
      .map((name) => name.toLowerCase())
      .filter((name) => !name.startsWith("content-"))
      .toSorted(),
    text: lines(text),
    html: lines(html),
    attachments: attachments.map((one) => JSON.stringify(one)).toSorted(),
  };
}

function lines(text: string | null): string {
  return (text ?? "")
    .toWellFormed()
    .replace(/\r\n|\r|\n/g, "\n")
    .replace(/\n$/, "");
}
