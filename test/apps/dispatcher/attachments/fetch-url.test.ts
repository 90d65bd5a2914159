import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import * as zlib from "node:zlib";
import type { Opened } from "@async-mail/dispatcher/attachments/remote-source";
import { SourceBroken, SourceRefused } from "@async-mail/dispatcher/attachments/remote-source";
import { gate } from "../../../support/eventually.ts";
import * as answers from "../../../support/file-answers.ts";
import { type FileAnswer, type FileServer, startFileServer } from "../../../support/file-server.ts";
import { TEST_CA } from "../../../support/smtp-server.ts";
import { type Fetch, urlBench } from "./url-bench.ts";

const TEXT = "the file's bytes, ".repeat(5000);
const CONTENT = Buffer.from(TEXT);

const server = await startFileServer();
const { host } = server;
const bench = urlBench();
const closing: (() => Promise<unknown>)[] = [bench.close, server.close];
// Time-outs of connections do not keep a process from ending.
const awake = setInterval(() => {}, 1000);
after(async () => {
  clearInterval(awake);
  await Promise.all(closing.map((close) => close()));
});

async function another(...given: Parameters<typeof startFileServer>): Promise<FileServer> {
  const started = await startFileServer(...given);
  closing.push(started.close);
  return started;
}

/** A path of its own for each answer, so that nothing is shared between tests. */
let paths = 0;
function serve(answer: FileAnswer): string {
  paths += 1;
  server.files[`/${paths}`] = answer;
  return server.url(`/${paths}`);
}

function isFailure(opened: Opened, permanent: boolean, reason: string | RegExp): void {
  assert.ok(opened.kind === "failed", opened.kind);
  if (typeof reason === "string") assert.equal(opened.reason, reason);
  else assert.match(opened.reason, reason);
  assert.equal(opened.permanent, permanent, opened.reason);
}

function isBroken({ opened, error }: Fetch, reason: string | RegExp): void {
  assert.equal(opened.kind, "file");
  assert.ok(error instanceof SourceBroken, String(error));
  if (typeof reason === "string") assert.equal(error.message, reason);
  else assert.match(error.message, reason);
}

describe("a file", () => {
  it("comes with its length and what tells its version", async () => {
    const dated = { etag: 'W/"7"', "last-modified": "Tue, 01 Jul 2025 10:00:00 GMT" };
    const { opened, text } = await bench.fetch(serve(answers.bytes(TEXT, dated)));
    assert.ok(opened.kind === "file");
    assert.equal(text, TEXT);
    assert.equal(opened.declaredBytes, TEXT.length);
    assert.deepEqual(opened.validator, { etag: 'W/"7"', lastModified: "Tue, 01 Jul 2025 10:00:00 GMT" });
  });

  it("comes without a length, in chunks or until the connection ends, and without a version", async () => {
    for (const answer of [answers.chunked(TEXT), answers.untilClosed(TEXT)]) {
      const { opened, text } = await bench.fetch(serve(answer));
      assert.ok(opened.kind === "file");
      assert.equal(text, TEXT);
      assert.equal(opened.declaredBytes, null);
      assert.equal(opened.validator, null);
    }
  });

  it("is whatever comes with 200 or 203, a page of HTML and nothing at all too", async () => {
    const page = "<html>please log in</html>";
    assert.equal((await bench.fetch(serve(answers.bytes(page, { "content-type": "text/html" })))).text, page);
    assert.equal((await bench.fetch(serve((_, response) => void response.writeHead(203).end("ok")))).text, "ok");
    const empty = await bench.fetch(serve(answers.bytes("", { "content-encoding": "gzip" })));
    assert.equal(empty.text, "");
    assert.equal(empty.opened.kind === "file" && empty.opened.declaredBytes, 0);
  });

  it("is asked for as it is, by name, over connections that are kept", async () => {
    const alone = await another({ "/f": answers.bytes(TEXT) });
    for (let i = 0; i < 10; i += 1) await bench.fetch(`${alone.url("/f")}?a=1&b=%20#part`);
    const { headers } = alone.requests[0]!;
    assert.equal(headers["accept-encoding"], "identity");
    assert.equal(headers["user-agent"], "gnr-async-mail-service");
    assert.equal(headers.host, alone.host);
    assert.ok(alone.connections.total < 10, `${alone.connections.total} connections`);
  });

  it("has no version that a header could not carry, nor one as fresh as the answer", async () => {
    const now = new Date().toUTCString();
    const url = serve(answers.bytes("x", { etag: "no quotes", "last-modified": now, date: now }));
    const { opened } = await bench.fetch(url);
    assert.equal(opened.kind === "file" && opened.validator, null);
  });
});

describe("a file that is known", () => {
  const lastModified = "Tue, 01 Jul 2025 10:00:00 GMT";

  it("is unchanged where its server says so, by tag or by date", async () => {
    const tagged = serve(answers.versioned(TEXT, { etag: '"1"' }));
    const dated = serve(answers.versioned(TEXT, { lastModified }));
    assert.deepEqual(await bench.open(tagged, { etag: '"1"' }), { kind: "unchanged" });
    assert.deepEqual(await bench.open(dated, { lastModified }), { kind: "unchanged" });
    assert.equal((await bench.fetch(tagged, { known: { etag: '"0"' } })).text, TEXT);
  });

  it("is not thought unchanged by whoever did not ask, nor asked for with what no header can carry", async () => {
    const url = serve(answers.status(304));
    isFailure(await bench.open(url), true, `304 Not Modified from ${host}`);
    const odd = { etag: '"1"\r\nx: y', lastModified: "ümlaut" };
    isFailure(await bench.open(url, odd), true, `304 Not Modified from ${host}`);
  });

  it("is asked for anew behind a redirect, which may lead to another file", async () => {
    const file = serve(answers.versioned(TEXT, { etag: '"1"' }));
    const { opened, text } = await bench.fetch(serve(answers.redirect(file)), { known: { etag: '"1"' } });
    assert.equal(text, TEXT);
    assert.equal(opened.kind === "file" && opened.validator, null);
  });
});

describe("a status", () => {
  it("that will not pass is final", async () => {
    for (const [code, words] of [
      [204, "204 No Content"],
      [205, "205 Reset Content"],
      [206, "206 Partial Content"],
      [226, "226 IM Used"],
      [299, "299"],
      [300, "300 Multiple Choices"],
      [302, "302 Found"],
      [400, "400 Bad Request"],
      [401, "401 Unauthorized"],
      [403, "403 Forbidden"],
      [404, "404 Not Found"],
      [410, "410 Gone"],
      [499, "499"],
    ] as const)
      isFailure(await bench.open(serve(answers.status(code))), true, `${words} from ${host}`);
  });

  it("that may pass is for now", async () => {
    for (const code of [408, 425, 429, 500, 502, 503, 504, 599]) {
      const opened = await bench.open(serve(answers.status(code)));
      isFailure(opened, false, new RegExp(`^${code} .*from ${host}$`));
      assert.equal("retryAfterMs" in opened, false);
    }
  });

  it("500 and then 200 is a file the second time", async () => {
    const url = serve(answers.inTurn(answers.status(500), answers.bytes(TEXT)));
    isFailure(await bench.open(url), false, `500 Internal Server Error from ${host}`);
    assert.equal((await bench.fetch(url)).text, TEXT);
    assert.equal(server.count(new URL(url).pathname), 2);
  });

  it("tells when to come back, in seconds or as a date by the server's own clock", async () => {
    const date = "Tue, 01 Jul 2025 10:00:00 GMT";
    for (const [retryAfter, ms] of [
      ["120", 120_000],
      ["Tue, 01 Jul 2025 10:01:30 GMT", 90_000],
      ["999999", 86_400_000],
      ["Tue, 01 Jul 2035 10:01:30 GMT", 86_400_000],
      ["0", undefined],
      ["Tue, 01 Jul 2025 09:00:00 GMT", undefined],
      ["-5", undefined],
      ["soon", undefined],
    ] as const) {
      const opened = await bench.open(serve(answers.status(429, { "retry-after": retryAfter, date })));
      assert.equal(opened.kind === "failed" && opened.retryAfterMs, ms, retryAfter);
    }
  });
});

describe("a redirect", () => {
  it("is followed, whatever its kind, relative or absolute", async () => {
    server.files["/dir/file"] = answers.bytes(TEXT);
    for (const code of [301, 302, 303, 307, 308])
      assert.equal((await bench.fetch(serve(answers.redirect("/dir/file", code)))).text, TEXT);
    server.files["/dir/go"] = answers.redirect("file?x=1");
    assert.equal((await bench.fetch(server.url("/dir/go"))).text, TEXT);
    assert.equal((await bench.fetch(serve(answers.redirect(`//${host}/dir/file`)))).text, TEXT);
  });

  it("is followed five times, and not six", async () => {
    for (let i = 1; i <= 6; i += 1) server.files[`/hop${i}`] = answers.redirect(`/hop${i - 1}`);
    server.files["/hop0"] = answers.bytes(TEXT);
    assert.equal((await bench.fetch(server.url("/hop5"))).text, TEXT);
    isFailure(await bench.open(server.url("/hop6")), true, `${host} redirects more than 5 times`);
  });

  it("in a loop is refused", async () => {
    server.files["/a"] = answers.redirect("/b#there");
    server.files["/b"] = answers.redirect("/a");
    isFailure(await bench.open(server.url("/a")), true, `${host} redirects in a loop`);
    assert.equal(server.count("/a") + server.count("/b"), 2);
  });

  it("to a private address is refused, by address and by name, and says nothing of it", async () => {
    const inner = await another({ "/": answers.bytes("secret") }, { host: "127.0.0.2" });
    const lookup = async () => [{ address: "127.0.0.2", family: 4 }];
    const named = urlBench({ lookup });
    closing.push(named.close);
    const { port } = new URL(inner.origin);
    for (const to of [inner.origin, `http://2130706434:${port}`, `http://intranet.test:${port}/?secret`]) {
      const url = serve(answers.redirect(to));
      const reason = `${host} redirects to an address that is not public (attachments.allow_hosts)`;
      isFailure(await named.open(url), true, reason);
    }
    assert.equal(inner.connections.total, 0);
  });

  it("to what is no web address, or from https to http, is refused", async () => {
    for (const to of ["ftp://files.example/x", "file:///etc/passwd", "data:,x", "http://[bad/", "http://a b/"])
      isFailure(
        await bench.open(serve(answers.redirect(to))),
        true,
        `${host} redirects to what is not an http or https URL`,
      );
  });

  it("hides the host it leads to in what is told of failures", async () => {
    const other = await another({ "/gone": answers.status(410), "/off": answers.hangUp });
    const gone = await bench.open(serve(answers.redirect(other.url("/gone"))));
    isFailure(gone, true, `410 Gone after a redirect from ${host}`);
    const off = await bench.open(serve(answers.redirect(other.url("/off"))));
    isFailure(off, false, /^no answer after a redirect from 127\.0\.0\.1:\d+ \(.+\)$/);
    assert.ok(off.kind === "failed" && !off.reason.includes(other.host));
  });
});

describe("https", () => {
  it("is verified, and not left by a redirect", async () => {
    const secure = await another(
      { "/f": answers.bytes(TEXT), "/down": answers.redirect(server.url("/x")) },
      { tls: true },
    );
    isFailure(
      await bench.open(secure.url("/f")),
      false,
      /^no answer from 127\.0\.0\.1:\d+ \([A-Z_]*CERT[A-Z_]*|UNABLE/,
    );
    const usual = getCACertificates("default");
    setDefaultCACertificates([...usual, TEST_CA]);
    try {
      assert.equal((await bench.fetch(secure.url("/f"))).text, TEXT);
      isFailure(await bench.open(secure.url("/down")), true, `${secure.host} redirects from https to http`);
      assert.equal((await bench.fetch(serve(answers.redirect(secure.url("/f"))))).text, TEXT);
    } finally {
      setDefaultCACertificates(usual);
    }
  });
});

describe("a login in the URL", () => {
  const withLogin = (url: string, login: string) => url.replace("http://", `http://${login}@`);

  it("is sent to its own origin, through redirects there too", async () => {
    const url = serve(answers.behindLogin("me@x", "p:ä ss", answers.bytes(TEXT)));
    const login = "me%40x:p%3A%C3%A4%20ss";
    assert.equal((await bench.fetch(withLogin(url, login))).text, TEXT);
    assert.equal((await bench.fetch(withLogin(serve(answers.redirect(url)), login))).text, TEXT);
    isFailure(await bench.open(withLogin(url, "me:100%")), true, `401 Unauthorized from ${host}`);
    isFailure(await bench.open(url), true, `401 Unauthorized from ${host}`);
  });

  it("goes to no other origin, not even on the way back", async () => {
    const back = serve(answers.bytes(TEXT));
    const other = await another({ "/away": answers.redirect(back), "/stay": answers.bytes(TEXT) });
    await bench.fetch(withLogin(serve(answers.redirect(other.url("/away"))), "me:secret"));
    assert.equal(other.requests[0]?.headers.authorization, undefined);
    assert.equal(server.requests.at(-1)?.headers.authorization, undefined);
    await bench.fetch(serve(answers.redirect(withLogin(other.url("/stay"), "its:own"))));
    assert.equal(other.requests[1]?.headers.authorization, `Basic ${btoa("its:own")}`);
  });

  it("stands in no reason", async () => {
    const url = withLogin(`${serve(answers.status(404))}?key=hidden`, "me:secret");
    isFailure(await bench.open(url), true, `404 Not Found from ${host}`);
  });
});

describe("a login beside the URL", () => {
  const authorization = "Bearer t0ken";
  const sent = (at: FileServer) => at.requests.map(({ headers }) => headers.authorization);

  it("is sent to the URL's own origin, through redirects there too, before one in the URL", async () => {
    const alone = await another({ "/f": answers.bytes(TEXT), "/moved": answers.redirect("/f") });
    alone.files["/named"] = answers.redirect(alone.url("/f").replace("//", "//its:own@"));
    for (const path of ["/f", "/moved", "/named"])
      assert.equal((await bench.fetch(alone.url(path), { authorization })).text, TEXT);
    await bench.fetch(alone.url("/f").replace("//", "//me:secret@"), { authorization });
    assert.deepEqual(sent(alone), Array(6).fill(authorization));
  });

  it("is told to no other origin, not even on the way back", async () => {
    const home = await another({ "/f": answers.bytes(TEXT) });
    const away = await another({ "/back": answers.redirect(home.url("/f")) });
    home.files["/away"] = answers.redirect(away.url("/back"));
    assert.equal((await bench.fetch(home.url("/away"), { authorization })).text, TEXT);
    assert.deepEqual(sent(away), [undefined]);
    assert.deepEqual(sent(home), [authorization, undefined]);
    away.files["/stay"] = answers.bytes(TEXT);
    home.files["/login"] = answers.redirect(away.url("/stay").replace("//", "//its:own@"));
    await bench.fetch(home.url("/login"), { authorization });
    assert.equal(sent(away).at(-1), `Basic ${btoa("its:own")}`);
  });

  it("stands in no reason", async () => {
    isFailure(
      await bench.open(serve(answers.status(401)), null, undefined, authorization),
      true,
      `401 Unauthorized from ${host}`,
    );
  });
});

describe("an address that is not public", () => {
  it("is refused by name, with what the name leads to unsaid", async () => {
    const named = urlBench({ lookup: async () => [{ address: "10.1.2.3", family: 4 }] });
    closing.push(named.close);
    for (const [url, name] of [
      ["http://intranet.test/x", "intranet.test"],
      ["http://127.0.0.2:81/x", "127.0.0.2:81"],
      ["http://0x7f.2/", "127.0.0.2"],
      ["http://[::1]/", "[::1]"],
      ["http://me:secret@169.254.169.254/?q", "169.254.169.254"],
    ] as const)
      isFailure(await named.open(url), true, `${name}: its address is not public (attachments.allow_hosts)`);
  });

  it("nor a URL at all is refused", async () => {
    for (const url of ["", "files.example/x", "ftp://files.example/x", "http://", "http://a b/", "javascript:1"])
      isFailure(await bench.open(url), true, "not an http or https URL");
  });
});

describe("no answer", () => {
  it("is for now, with the code that tells why", async () => {
    const closed = await startFileServer();
    await closed.close();
    isFailure(await bench.open(closed.url("/")), false, `no answer from ${closed.host} (ECONNREFUSED)`);
    isFailure(await bench.open(serve(answers.hangUp)), false, `no answer from ${host} (connection closed)`);
    isFailure(await bench.open(serve(answers.babble)), false, `no answer from ${host} (not HTTP)`);
    for (const [code, words] of [
      ["EAI_AGAIN", "EAI_AGAIN"],
      ["ETIMEOUT", "its name servers do not answer"],
    ]) {
      const named = urlBench({ lookup: async () => Promise.reject(Object.assign(new Error("look-up"), { code })) });
      closing.push(named.close);
      isFailure(await named.open("http://files.test/x"), false, `no answer from files.test (${words})`);
    }
  });

  it("in time ends it at once, wherever it stands", async () => {
    const never = gate();
    const silent = serve(answers.held(never.opened, answers.bytes(TEXT)));
    const stuck = urlBench({ lookup: () => new Promise(() => {}) });
    closing.push(stuck.close);
    for (const open of [
      (signal: AbortSignal) => bench.open(silent, null, signal),
      (signal: AbortSignal) => bench.open(serve(answers.redirect(silent)), null, signal),
      (signal: AbortSignal) => stuck.open("http://slow.test/x", null, signal),
    ]) {
      const limit = new AbortController();
      const opened = open(limit.signal);
      setImmediate(() => limit.abort(new Error("not done within 30 s")));
      isFailure(await opened, false, "not done within 30 s");
    }
    isFailure(await bench.open(silent, null, AbortSignal.abort(new Error("late"))), false, "late");
  });

  it("within the time for connecting is for now", async () => {
    const stuck = urlBench({ lookup: () => new Promise(() => {}), connectTimeoutMs: 50 });
    closing.push(stuck.close);
    isFailure(await stuck.open("http://slow.test/x"), false, "no answer from slow.test (connect time-out)");
  });
});

const badChunk: FileAnswer = (_, response) =>
  void response.socket?.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nno size\r\n");

describe("a body", () => {
  it("that is cut breaks, with a length and without", async () => {
    isBroken(await bench.fetch(serve(answers.cut(CONTENT, 1000))), /^cut off on the way/);
    const chunks = await bench.fetch(serve(answers.cut(CONTENT, 1000, "chunked")));
    isBroken(chunks, "cut off on the way (connection closed)");
    isBroken(await bench.fetch(serve(badChunk)), "cut off on the way (not HTTP)");
    const closing = { connection: "close" };
    isBroken(await bench.fetch(serve(answers.cut(CONTENT, 1000, closing))), /^cut off on the way/);
  });

  it("that is shorter than said breaks, one that is longer ends where it said", async () => {
    const short = serve(answers.cut(CONTENT, CONTENT.length - 1, { "content-length": CONTENT.length }));
    isBroken(await bench.fetch(short), /^cut off on the way/);
    // RFC 9112 §6.3: it ends there.
    assert.equal((await bench.fetch(serve(answers.longerThanSaid("0123456789", 5)))).text, "01234");
  });

  it("too large is refused: before it is read where it says so, else when it is", async () => {
    const small = urlBench({ maxBytes: 1000 });
    closing.push(small.close);
    const reason = "larger than attachments.max_bytes allows (1000)";
    isFailure(await small.open(serve(answers.bytes("x".repeat(1001)))), true, reason);
    assert.equal((await small.fetch(serve(answers.bytes("x".repeat(1000))))).bytes, 1000);
    for (const answer of [answers.chunked("x".repeat(1001)), answers.endless]) {
      const { error } = await small.fetch(serve(answer));
      assert.ok(error instanceof SourceRefused, String(error));
      assert.equal(error.message, reason);
    }
  });

  it("that drips ends with the signal", async () => {
    const limit = new AbortController();
    const opened = await bench.open(serve(answers.drip(CONTENT, 20)), null, limit.signal);
    assert.ok(opened.kind === "file");
    let bytes = 0;
    await assert.rejects(
      async () => {
        for await (const chunk of opened.body) {
          bytes += chunk.length;
          if (bytes >= 3) limit.abort(new Error("not done within 1 s"));
        }
      },
      (error) => error instanceof SourceBroken && error.message === "not done within 1 s",
    );
    assert.ok(bytes < CONTENT.length);
  });

  it("that nobody wants holds no connection", async () => {
    const alone = await another({
      "/endless": answers.endless,
      "/lost": answers.endlessly(404),
      "/large": answers.bytes(Buffer.alloc(2_000_000)),
      "/gzip": answers.gzipBomb(500_000_000),
      "/cut": answers.cut(zlib.gzipSync(CONTENT), 10, { "content-encoding": "gzip" }),
      "/broken": answers.bytes("no such thing", { "content-encoding": "br" }),
      "/long": answers.longerThanSaid("0123456789", 5),
      "/empty": chunkedNothing("gzip"),
    });
    const unread = await bench.open(alone.url("/endless"));
    const begun = await bench.open(alone.url("/endless"));
    const packed = await bench.open(alone.url("/gzip"));
    assert.ok(unread.kind === "file" && begun.kind === "file" && packed.kind === "file");
    await unread.body[Symbol.asyncIterator]().return?.();
    for await (const _ of begun.body) break;
    for await (const _ of packed.body) break;
    for (const path of ["/cut", "/broken", "/long", "/empty"]) await bench.fetch(alone.url(path));
    const unreadPacked = await bench.open(alone.url("/gzip"));
    assert.ok(unreadPacked.kind === "file");
    await unreadPacked.body[Symbol.asyncIterator]().return?.();
    await bench.open(alone.url("/large"));
    await bench.open(alone.url("/lost"));
    await alone.idle();
  });
});

function chunkedNothing(encoding: string): FileAnswer {
  return (_, response) => void response.writeHead(200, { "content-encoding": encoding }).end();
}

async function drained(body: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of body) assert.ok(chunk.length > 0);
}

describe("an encoded body", () => {
  const encoded = (bytes: Uint8Array, encoding: string) => answers.bytes(bytes, { "content-encoding": encoding });
  const all: [string, Buffer][] = [
    ["gzip", zlib.gzipSync(CONTENT)],
    ["X-GZIP", zlib.gzipSync(CONTENT)],
    ["deflate", zlib.deflateSync(CONTENT)],
    ["br", zlib.brotliCompressSync(CONTENT)],
    ["zstd", zlib.zstdCompressSync(CONTENT)],
  ];

  it("is decoded, though nobody asked for it", async () => {
    const more: [string, Buffer][] = [
      ["deflate", zlib.deflateRawSync(CONTENT)],
      ["identity", CONTENT],
      ["deflate, gzip", zlib.gzipSync(zlib.deflateSync(CONTENT))],
    ];
    for (const [encoding, bytes] of [...all, ...more]) {
      const { opened, text, error } = await bench.fetch(serve(encoded(bytes, encoding)));
      assert.equal(text, TEXT, `${encoding}: ${error}`);
      assert.equal(opened.kind === "file" && opened.declaredBytes, encoding === "identity" ? CONTENT.length : null);
    }
  });

  it("that ends too early, or is something else, breaks", async () => {
    for (const [encoding, bytes] of all) {
      isBroken(await bench.fetch(serve(encoded(bytes.subarray(0, -3), encoding))), / encoding is broken$/);
      isBroken(await bench.fetch(serve(encoded(Buffer.from("no such thing"), encoding))), / encoding is broken$/);
      isBroken(await bench.fetch(serve(answers.cut(bytes, 10, { "content-encoding": encoding }))), /^cut off/);
    }
  });

  it("that fails before anybody reads it fails only then, and for nobody else", async () => {
    const closing = { connection: "close" };
    const alone = await another();
    for (const [encoding, bytes] of [...all, ["gzip", Buffer.alloc(0)] as const]) {
      const broken = bytes.length === 0 ? chunkedNothing(encoding) : encoded(bytes.subarray(0, 20), encoding);
      alone.files["/broken"] = (request, response, count) => {
        response.setHeaders(new Headers(closing));
        broken(request, response, count);
      };
      const opened = await bench.open(alone.url("/broken"));
      assert.ok(opened.kind === "file");
      await alone.idle();
      // Its neighbours go on, for longer than it could take to fail.
      for (let i = 0; i < 20; i += 1)
        assert.equal((await bench.fetch(serve(encoded(zlib.gzipSync(CONTENT), "gzip")))).text, TEXT);
      if (bytes.length === 0) for await (const _ of opened.body) assert.fail("something came");
      else await assert.rejects(drained(opened.body), SourceBroken);
    }
  });

  it("that is empty is an empty file, with a length and without", async () => {
    for (const encoding of ["gzip", "deflate", "br", "zstd", "deflate, gzip"])
      for (const answer of [chunkedNothing(encoding), encoded(Buffer.alloc(0), encoding)]) {
        const { text, error } = await bench.fetch(serve(answer));
        assert.equal(error, undefined);
        assert.equal(text, "");
      }
  });

  it("of a file that is gzip by itself is the file", async () => {
    const packed = zlib.gzipSync(CONTENT);
    const from = async (path: string, encoding: string, bytes: Uint8Array = packed) => {
      server.files[path] = encoded(bytes, encoding);
      return await bench.fetch(`${server.url(path)}?v=1.gz`);
    };
    for (const name of ["a.tgz", "a.tar.GZ", "a.svgz", "a.taz"])
      for (const encoding of ["gzip", "x-gzip"]) {
        const { opened, bytes } = await from(`/packed/${name}`, encoding);
        assert.equal(bytes, packed.length, `${name} ${encoding}`);
        assert.equal(opened.kind === "file" && opened.declaredBytes, packed.length);
      }
    for (const name of ["a.txt", "a.gz/b", "agz", "tgz"])
      assert.equal((await from(`/packed/${name}`, "gzip")).text, TEXT);
    const twice = await from("/packed/twice.gz", "deflate, gzip", zlib.gzipSync(zlib.deflateSync(CONTENT)));
    assert.equal(twice.text, TEXT);
    assert.equal((await from("/packed/b.gz", "br", zlib.brotliCompressSync(packed))).bytes, packed.length);
  });

  it("of such a file is known by either name, the one asked for and the one that answers", async () => {
    const packed = zlib.gzipSync(CONTENT);
    server.files["/either/named.tgz"] = answers.redirect("/either/blob");
    server.files["/either/blob"] = encoded(packed, "gzip");
    server.files["/either/latest"] = answers.redirect("/either/v1.tgz");
    server.files["/either/v1.tgz"] = encoded(packed, "gzip");
    assert.equal((await bench.fetch(server.url("/either/named.tgz"))).bytes, packed.length);
    assert.equal((await bench.fetch(server.url("/either/latest"))).bytes, packed.length);
    assert.equal((await bench.fetch(server.url("/either/blob"))).text, TEXT);
  });

  it("in a way that is not known is refused", async () => {
    for (const encoding of ["compress", "gzip, secret", "gzip, gzip, gzip"])
      isFailure(await bench.open(serve(encoded(CONTENT, encoding))), true, `unknown Content-Encoding from ${host}`);
  });

  it("that unpacks without end is read only as far as it is wanted", async () => {
    const { bytes, error } = await bench.fetch(serve(answers.gzipBomb(500_000_000)), { mostBytes: 1_000_000 });
    assert.equal(error, undefined);
    assert.ok(bytes !== undefined && bytes > 1_000_000 && bytes < 1_200_000, `${bytes}`);
  });
});
