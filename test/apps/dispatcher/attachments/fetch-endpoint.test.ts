import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { after, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { createEndpointSource } from "@async-mail/dispatcher/attachments/fetch-endpoint";
import { type Opened, SourceBroken, SourceRefused } from "@async-mail/dispatcher/attachments/remote-source";
import { anyButLinkLocal, createEgress, type EgressOptions } from "@async-mail/runtime/egress";
import * as answers from "../../../support/file-answers.ts";
import { type FileAnswer, startFileServer } from "../../../support/file-server.ts";
import { read } from "./url-bench.ts";

const MAX_BYTES = 1_000_000;
const LOOKED_AT = 65_536;
const closing: (() => Promise<unknown>)[] = [];
after(() => Promise.all(closing.map((close) => close())));

const client = await startFileServer();
closing.push(client.close);
const { host } = client;

function sourceWith(given: Partial<EgressOptions> = {}) {
  const egress = createEgress({
    mayReach: anyButLinkLocal,
    connectTimeoutMs: 10_000,
    connectionsPerOrigin: 4,
    ...given,
  });
  closing.push(() => egress.destroy());
  return createEndpointSource({ egress, maxBytes: MAX_BYTES });
}

const source = sourceWith();

type Asked = { url?: string; path?: string; name?: string; authorization?: string | null; signal?: AbortSignal };

function open(asked: Asked = {}, from = source): Promise<Opened> {
  const { url = client.url("/files"), path = "invoices/1.pdf", name = "1.pdf", authorization = null } = asked;
  return from.open({ url, path, name, authorization }, asked.signal ?? AbortSignal.timeout(60_000));
}

/** From the one endpoint that there is. */
function openFrom(answer: FileAnswer, asked: Asked = {}): Promise<Opened> {
  client.files["/files"] = answer;
  return open(asked);
}

async function broughtBy(answer: FileAnswer, asked: Asked = {}) {
  const opened = await openFrom(answer, asked);
  assert.ok(opened.kind === "file", JSON.stringify(opened));
  return { opened, ...(await read(opened.body, Number.POSITIVE_INFINITY)) };
}

function isFailure(opened: Opened, permanent: boolean, reason: string | RegExp, retryAfterMs?: number): void {
  assert.ok(opened.kind === "failed", opened.kind);
  if (typeof reason === "string") assert.equal(opened.reason, reason);
  else assert.match(opened.reason, reason);
  assert.equal(opened.permanent, permanent, opened.reason);
  assert.equal(opened.retryAfterMs, retryAfterMs);
}

describe("a client's file", () => {
  it("is asked for by POST with its storage_path and the login", async () => {
    const asked: unknown[] = [];
    const answer: FileAnswer = async (request, response) => {
      const { method, headers } = request;
      asked.push([method, JSON.parse(await text(request)), headers]);
      response.writeHead(200, { "content-type": "application/pdf", "content-length": 5 }).end("%PDF-");
    };
    const path = "home:Über/a b.pdf?x=1";
    const { opened, text: file } = await broughtBy(answer, { path, authorization: "Bearer t0ken" });
    assert.equal(file, "%PDF-");
    assert.equal(opened.declaredBytes, 5);
    const [[method, body, headers]] = asked as [[string, unknown, Record<string, string>]];
    assert.deepEqual([method, body], ["POST", { storage_path: path }]);
    assert.equal(headers["content-type"], "application/json");
    assert.equal(headers.accept, "*/*");
    assert.equal(headers["accept-encoding"], "identity");
    assert.equal(headers["user-agent"], "gnr-async-mail-service");
    assert.equal(headers.authorization, "Bearer t0ken");
    await broughtBy(answer);
    assert.equal(client.requests.at(-1)?.headers.authorization, undefined);
  });

  it("is what comes with 200, whatever it is called and however it comes", async () => {
    for (const content of ["", " ", "x", "[1]", '"error"', "<html>log in</html>", "\n\n\t{not json", "{", "null"])
      for (const answer of [
        answers.bytes(content, { "content-type": "application/json" }),
        answers.untilClosed(content),
      ])
        assert.equal((await broughtBy(answer)).text, content);
    const { text, opened } = await broughtBy(answers.gzipped("unpacked"));
    assert.deepEqual([text, opened.declaredBytes], ["unpacked", null]);
  });

  it("that is gzip by itself stays it, by its path or its name", async () => {
    const packed = gzipSync("x".repeat(1000));
    const encoded = answers.bytes(packed, { "content-encoding": "gzip" });
    assert.equal((await broughtBy(encoded, { path: "backup/a.tgz", name: "a" })).bytes, packed.length);
    assert.equal((await broughtBy(encoded, { path: "id:7", name: "a.svgz" })).bytes, packed.length);
    assert.equal((await broughtBy(encoded)).bytes, 1000);
  });

  it("too large is refused, announced and not", async () => {
    isFailure(await openFrom(answers.bytes(Buffer.alloc(MAX_BYTES + 1))), true, /^larger than attachments\.max_bytes/);
    const { error } = await broughtBy(answers.endless);
    assert.ok(error instanceof SourceRefused, String(error));
    await client.idle();
  });

  it("that is cut breaks, also while it is looked at", async () => {
    for (const content of [Buffer.alloc(100), Buffer.from('{"error": "x"}')]) {
      const { error } = await broughtBy(answers.cut(content, 9));
      assert.ok(error instanceof SourceBroken, String(error));
      assert.match(error.message, /^cut off on the way/);
    }
  });

  it("that nobody reads holds no connection", async () => {
    for (const name of ["a.bin", "a.json"]) {
      const unread = await openFrom(answers.endless, { name });
      assert.ok(unread.kind === "file");
      await unread.body[Symbol.asyncIterator]().return?.();
      const begun = await openFrom(answers.endless, { name });
      assert.ok(begun.kind === "file");
      for await (const _ of begun.body) break;
    }
    await openFrom(answers.endlessly(404));
    await client.idle();
  });
});

describe("an object with error", () => {
  const refusal = (said: string) => `${host} answered with an error in place of the file${said}`;

  it("is no file, and may pass", async () => {
    const long = "x".repeat(500);
    for (const [content, said] of [
      ['{"error": "login failed"}', ': "login failed"'],
      [' \r\n\t{"code": 1, "error": " two\\nlines "}\n', ': "two\\nlines"'],
      ['{"error": ""}', ""],
      ['{"error": null}', ""],
      ['{"error": {"why": "login"}}', ""],
      [JSON.stringify({ error: long }), `: "${long.slice(0, 99)}…"`],
      [`{"error": "at the limit"}${" ".repeat(LOOKED_AT - 25)}`, ': "at the limit"'],
    ] as const)
      for (const answer of [answers.bytes(content, { "content-type": "image/png" }), answers.chunked(content)]) {
        const { error, bytes } = await broughtBy(answer);
        assert.ok(error instanceof SourceBroken, `${content.slice(0, 50)}: ${error}`);
        assert.equal(error.message, refusal(said));
        assert.equal(bytes, 0, "nothing of it was kept");
      }
  });

  it("that repeats the login, or a path that may be one, is not quoted", async () => {
    const basic = `Basic ${Buffer.from("erp:pass:wörd").toString("base64")}`;
    const signed = "in/1.pdf?sig=k3y";
    const login = "//erp:pass@store/1.pdf";
    for (const [asked, text] of [
      [{ authorization: "Bearer t0ken" }, "no such token: t0ken"],
      [{ authorization: basic }, "erp has another password than pass:wörd"],
      [{ authorization: basic }, `what is ${basic}?`],
      [{ path: signed }, `no file ${signed}`],
      [{ path: signed }, "no file 1.pdf?sig=k3y"],
      [{ path: login }, `no file ${login}`],
    ] as const) {
      const { error } = await broughtBy(answers.bytes(JSON.stringify({ error: text })), asked);
      assert.equal(error?.message, refusal(", and its text, which holds secrets, is not shown"), text);
    }
    for (const [asked, text] of [
      [{ authorization: "Bearer t0ken" }, "erp may not log in"],
      [{ authorization: basic }, "erp may not log in"],
      [{ authorization: `Basic ${btoa("erp:")}` }, "erp has no password"],
      [{ path: "in/1.pdf" }, "no file in/1.pdf"],
      [{ path: signed }, "no file 1.pdf"],
    ] as const) {
      const { error } = await broughtBy(answers.bytes(JSON.stringify({ error: text })), asked);
      assert.equal(error?.message, refusal(`: "${text}"`));
    }
  });

  it("is one whatever it is packed in", async () => {
    assert.equal((await broughtBy(answers.gzipped('{"error": "x"}'))).error?.message, refusal(': "x"'));
  });

  it("is the file where the file's name is that of JSON", async () => {
    const content = '{"error": "a report about errors"}';
    for (const name of ["a.json", "A.JSON"])
      assert.equal((await broughtBy(answers.bytes(content), { name })).text, content);
    for (const name of ["json", "a.json.txt", "a.jsonl"])
      assert.ok((await broughtBy(answers.bytes(content), { name, path: "a.json" })).error);
  });

  it("is not what only looks like one", async () => {
    for (const content of ['{"errors": 1}', '{"a": {"error": 1}}', '[{"error": 1}]', '{"error": 1', '{"error": 1} x'])
      assert.equal((await broughtBy(answers.bytes(content))).text, content);
  });

  it("is not looked for in what is large", async () => {
    for (const content of [
      `{"error": "over the limit"}${" ".repeat(LOOKED_AT - 26)}`,
      JSON.stringify({ error: "x".repeat(LOOKED_AT) }),
      `{${"x".repeat(500_000)}`,
      " ".repeat(500_000),
    ])
      for (const answer of [answers.bytes(content), answers.chunked(content)])
        assert.equal((await broughtBy(answer)).text, content);
  });
});

describe("a status", () => {
  it("that will not pass is final", async () => {
    for (const [code, words] of [
      [400, "400 Bad Request"],
      [404, "404 Not Found"],
      [405, "405 Method Not Allowed"],
      [410, "410 Gone"],
    ] as const)
      isFailure(await openFrom(answers.status(code)), true, `${words} from ${host}`);
  });

  it("that may pass is for now, a failed login too", async () => {
    for (const [code, words] of [
      [401, "401 Unauthorized"],
      [403, "403 Forbidden"],
      [408, "408 Request Timeout"],
      [425, "425 Too Early"],
      [429, "429 Too Many Requests"],
      [500, "500 Internal Server Error"],
      [502, "502 Bad Gateway"],
      [503, "503 Service Unavailable"],
    ] as const) {
      isFailure(await openFrom(answers.status(code)), false, `${words} from ${host}`);
      const later = answers.status(code, { "retry-after": "120" });
      isFailure(await openFrom(later), false, `${words} from ${host}`, 120_000);
    }
  });

  it("that leads elsewhere is not followed, and may pass", async () => {
    const other = await startFileServer({ "/file": answers.bytes("x") });
    closing.push(other.close);
    for (const code of [301, 302, 303, 307, 308])
      isFailure(
        await openFrom(answers.redirect(other.url("/file"), code), { authorization: "Bearer t0ken" }),
        false,
        /^30\d [A-Z][\w ]+ from 127\.0\.0\.1:\d+, which is not followed$/,
      );
    for (const code of [300, 304]) isFailure(await openFrom(answers.status(code)), false, /which is not followed$/);
    assert.equal(other.requests.length, 0);
  });
});

describe("a client", () => {
  it("may have a private address, and no link-local one", async () => {
    const metadata = sourceWith({ lookup: async () => [{ address: "169.254.169.254", family: 4 }] });
    for (const [url, name] of [
      ["http://169.254.169.254/latest?q=secret", "169.254.169.254"],
      ["http://[fe80::1]:8080/files", "[fe80::1]:8080"],
      ["http://metadata.test/files", "metadata.test"],
    ] as const)
      isFailure(await open({ url }, metadata), true, `${name}: its address may not be reached (client_base_url)`);
    const inside = sourceWith({ lookup: async () => [{ address: "127.0.0.1", family: 4 }] });
    client.files["/files"] = answers.bytes("x");
    assert.equal((await open({ url: `http://intranet.test:${host.split(":")[1]}/files` }, inside)).kind, "file");
  });

  it("that does not answer is asked again later", async () => {
    const closed = await startFileServer();
    await closed.close();
    isFailure(await open({ url: closed.url("/") }), false, `no answer from ${closed.host} (ECONNREFUSED)`);
    isFailure(await openFrom(answers.hangUp), false, `no answer from ${host} (connection closed)`);
    const limit = new AbortController();
    const silent = answers.held(new Promise(() => {}), answers.bytes(""));
    const opened = openFrom(silent, { signal: limit.signal });
    setImmediate(() => limit.abort(new Error("not done within 30 s")));
    isFailure(await opened, false, "not done within 30 s");
  });
});
