import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createS3Source, type S3Config, type S3Source } from "@async-mail/dispatcher/attachments/fetch-s3";
import { type Opened, SourceBroken } from "@async-mail/dispatcher/attachments/remote-source";
import { s3ClientConfig } from "@async-mail/dispatcher/attachments/s3-client-config";
import { s3Failure } from "@async-mail/dispatcher/attachments/s3-failure";
import { eventually, gate } from "../../../support/eventually.ts";
import {
  s3Answer,
  s3Cut,
  s3Drip,
  s3Endless,
  s3Held,
  s3Raw,
  s3Refusal,
  s3Reset,
  s3Silence,
  s3Stall,
} from "../../../support/s3-faults.ts";
import { S3_KEYS, type S3Fault, type S3Server, startS3Server } from "../../../support/s3-server.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

/** Longer than anything here takes; what hangs fails by it. */
const DEADLINE_MS = 60_000;

// Nothing of this machine's own S3 may come into it, nor a question to an address that answers only in a cloud.
for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
process.env.AWS_EC2_METADATA_DISABLED = "true";
process.env.AWS_CONFIG_FILE = join(temporaryFolder(), "none");
process.env.AWS_SHARED_CREDENTIALS_FILE = process.env.AWS_CONFIG_FILE;

let server: S3Server;
let source: S3Source;
const sources: S3Source[] = [];

before(async () => {
  server = await startS3Server();
  await server.put("docs", "a.txt", Buffer.from("the first"));
  source = make({});
});
afterEach(() => server.faults.splice(0));
after(async () => {
  for (const one of sources) one.close();
  await server.close();
});

function make(config: Partial<S3Config>): S3Source {
  const made = createS3Source({
    endpoint: server.endpoint,
    region: null,
    ...S3_KEYS,
    forcePathStyle: null,
    allow: [],
    ...config,
  });
  sources.push(made);
  return made;
}

type Asked = {
  bucket?: string;
  key?: string;
  versionId?: string | null;
  prefixes?: string[] | null;
  etag?: string;
  signal?: AbortSignal;
};

function open(asked: Asked = {}, from = source): Promise<Opened> {
  const { bucket = "docs", key = "a.txt", versionId = null, prefixes = null, etag } = asked;
  const { signal = AbortSignal.timeout(DEADLINE_MS) } = asked;
  return from.open({ bucket, key, versionId, prefixes }, etag === undefined ? null : { etag }, signal);
}

function file(opened: Opened): Extract<Opened, { kind: "file" }> {
  assert.equal(opened.kind, "file", JSON.stringify(opened));
  return opened as Extract<Opened, { kind: "file" }>;
}

async function bytesOf(opened: Opened): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of file(opened).body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function final(reason: string): Opened {
  return { kind: "failed", permanent: true, reason };
}

function passing(reason: string, retryAfterMs?: number): Opened {
  return { kind: "failed", permanent: false, reason, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

describe("an object", () => {
  it("comes with its length and its validator", async () => {
    const opened = file(await open());
    assert.equal(opened.declaredBytes, 9);
    assert.match(opened.validator?.etag ?? "", /^"[0-9a-f]{32}"$/);
    assert.equal((await bytesOf(opened)).toString(), "the first");
  });

  it("that has not changed is not sent again, one that has is", async () => {
    await server.put("docs", "changing.txt", Buffer.from("one"));
    const first = file(await open({ key: "changing.txt" }));
    await bytesOf(first);
    const etag = first.validator?.etag ?? "";
    assert.deepEqual(await open({ key: "changing.txt", etag }), { kind: "unchanged" });
    await server.put("docs", "changing.txt", Buffer.from("two"));
    const second = file(await open({ key: "changing.txt", etag }));
    assert.notEqual(second.validator?.etag, etag);
    assert.equal((await bytesOf(second)).toString(), "two");
    await server.remove("docs", "changing.txt");
    assert.deepEqual(
      await open({ key: "changing.txt", etag }),
      final("there is no such key in the bucket (NoSuchKey)"),
    );
  });

  it("is not unchanged where nobody asked", async () => {
    server.faults.push(s3Answer(304));
    assert.deepEqual(await open(), passing("the server answered 304"));
  });

  const keys = [
    "with a space.pdf",
    "a+b&c=d?e#f%41~!*'().txt",
    "Rechnung für Jürgen.pdf",
    "发票/二〇二六年/合同.pdf",
    "فاتورة/עברית.pdf",
    "cafe\u0301 and café.txt",
    "😀/👩‍👩‍👧.png",
    "quote\"'<>&amp;.txt",
    "ends.with.dots..",
  ];
  for (const key of keys)
    it(`has any key: ${key}`, async () => {
      await server.put("docs", key, Buffer.from(key));
      assert.equal((await bytesOf(await open({ key }))).toString(), key);
      assert.equal(server.requests.at(-1)?.key, key);
    });

  it("is asked for in its version", async () => {
    await bytesOf(await open({ versionId: "3/L4kqtJ+lcp&o" }));
    assert.equal(server.requests.at(-1)?.query.get("versionId"), "3/L4kqtJ+lcp&o");
    await bytesOf(await open());
    assert.equal(server.requests.at(-1)?.query.has("versionId"), false);
  });

  it("of 20 MB passes through without staying in memory", async () => {
    const bytes = randomBytes(20 * 1024 * 1024);
    await server.put("docs", "large.bin", bytes);
    const expected = createHash("sha256").update(bytes).digest("hex");
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    collect();
    const before = process.memoryUsage().arrayBuffers;
    const hash = createHash("sha256");
    let read = 0;
    let most = 0;
    for await (const chunk of file(await open({ key: "large.bin" })).body) {
      hash.update(chunk);
      if (Math.floor(read / 1e6) !== Math.floor((read + chunk.length) / 1e6)) {
        collect();
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      }
      read += chunk.length;
    }
    assert.equal(hash.digest("hex"), expected);
    assert.ok(most < 4e6, `${most} bytes were held`);
  });

  it("without a declared length comes too", async () => {
    server.faults.push((_request, response) => {
      response.write("with");
      response.end("out");
    });
    const opened = file(await open());
    assert.deepEqual([opened.declaredBytes, opened.validator], [null, null]);
    assert.equal((await bytesOf(opened)).toString(), "without");
  });

  it("is the whole one or none", async () => {
    for (const status of [206, 204]) {
      server.faults.push(s3Answer(status, status === 206 ? "ab" : ""));
      assert.deepEqual(await open(), passing(`the server answered ${status} to a request for the whole object`));
    }
  });

  it("comes over a connection that is kept", async () => {
    const own = await startS3Server();
    await own.put("docs", "a.txt", Buffer.from("x"));
    const warm = make({ endpoint: own.endpoint });
    const ports = new Set<number | undefined>();
    const noted: S3Fault = (request, _response, serve) => {
      ports.add(request.socket.remotePort);
      serve();
    };
    own.faults.push(noted, noted, noted);
    for (let n = 0; n < 3; n++) await bytesOf(await open({}, warm));
    assert.equal(ports.size, 1);
    await own.close();
  });
});

describe("what the server refuses", () => {
  it("for good: no such key, no such bucket, as it says itself", async () => {
    assert.deepEqual(await open({ key: "none" }), final("there is no such key in the bucket (NoSuchKey)"));
    assert.deepEqual(await open({ bucket: "none" }), final("there is no such bucket (NoSuchBucket)"));
  });

  it("until the operator mends it: a key that it does not know, as it says itself", async () => {
    const stranger = make({ accessKeyId: "AKIASECRET", secretAccessKey: "x" });
    assert.deepEqual(await open({}, stranger), passing("the server does not know our access key (InvalidAccessKeyId)"));
  });

  const refusals: { fault: S3Fault; is: Opened; requests?: number }[] = [
    { fault: s3Refusal(404, "NoSuchVersion"), is: final("the key has no such version (NoSuchVersion)") },
    { fault: s3Refusal(403, "AccessDenied"), is: final("access denied (AccessDenied)") },
    { fault: s3Answer(403), is: final("access denied (status 403)") },
    {
      fault: s3Refusal(403, "InvalidObjectState"),
      is: final("the object is archived, it has to be restored first (InvalidObjectState)"),
    },
    { fault: s3Answer(404), is: final("there is no such bucket or key (status 404)") },
    { fault: s3Answer(404, "<html><p>No <br></html>"), is: final("there is no such bucket or key (status 404)") },
    { fault: s3Refusal(405, "MethodNotAllowed"), is: final("the server answered 405 (MethodNotAllowed)") },
    { fault: s3Refusal(400, "KeyTooLongError"), is: final("the server answered 400 (KeyTooLongError)") },
    { fault: s3Answer(418, "<html>"), is: final("the server answered 418") },
    {
      fault: s3Refusal(403, "SignatureDoesNotMatch"),
      is: passing("the server does not accept our secret key (SignatureDoesNotMatch)"),
    },
    { fault: s3Refusal(400, "ExpiredToken"), is: passing("our credentials have expired (ExpiredToken)") },
    { fault: s3Answer(401), is: passing("the server does not accept our credentials (status 401)") },
    {
      fault: s3Refusal(301, "PermanentRedirect", { location: "http://127.0.0.1:9/" }),
      is: passing("the bucket is in another region: see s3.region and s3.endpoint (PermanentRedirect)"),
    },
    {
      fault: s3Refusal(503, "SlowDown", { "retry-after": "7" }),
      is: passing("the server is busy (SlowDown)", 7000),
    },
    { fault: s3Answer(429, "", { "retry-after": "9" }), is: passing("the server answered 429", 9000) },
    { fault: s3Answer(429, "", { "retry-after": "soon" }), is: passing("the server answered 429") },
    { fault: s3Refusal(500, "InternalError"), is: passing("the server answered 500 (InternalError)"), requests: 2 },
    { fault: s3Answer(502, "<html>Bad & gone"), is: passing("the server answered 502"), requests: 2 },
    {
      fault: s3Answer(200, "x", { "last-modified": "yesterday" }),
      is: passing("the answer cannot be read (status 200)"),
    },
    { fault: s3Reset, is: passing("the connection broke (ECONNRESET)"), requests: 2 },
    {
      fault: s3Raw("220 mail.example ESMTP\r\n"),
      is: passing("what answers does not speak HTTP as it should (HPE_INVALID_CONSTANT)"),
    },
    {
      fault: s3Raw("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
      is: passing("what answers does not speak HTTP as it should (HPE_INVALID_TRANSFER_ENCODING)"),
    },
  ];
  for (const { fault, is, requests = 1 } of refusals)
    it(`${(is as { reason: string }).reason}`, async () => {
      server.faults.push(fault, fault);
      const before = server.requests.length;
      assert.deepEqual(await open(), is);
      assert.equal(server.requests.length - before, requests, "requests");
    });

  it("until a moment is not asked again before it says", async () => {
    const [date, later] = [0, 90_000].map((ms) => new Date(Date.now() + ms).toUTCString()) as [string, string];
    server.faults.push(s3Answer(503, "", { date, "retry-after": later }));
    assert.deepEqual(await open(), passing("the server answered 503", 90_000));
  });

  it("with a body that does not end is not read for ever", async () => {
    server.faults.push(s3Endless(403));
    assert.deepEqual(await open(), final("access denied (status 403)"));
  });

  for (const [what, fault] of [
    ["a 500", s3Refusal(500, "InternalError")],
    ["a connection closed meanwhile", s3Reset],
  ] as const)
    it(`is asked for once more after ${what}`, async () => {
      server.faults.push(fault);
      assert.equal((await bytesOf(await open())).toString(), "the first");
    });

  it("for our clock is asked for again by the server's", async () => {
    const tomorrow = new Date(Date.now() + 86_400_000);
    const headers = { date: tomorrow.toUTCString() };
    server.faults.push(s3Refusal(403, "RequestTimeTooSkewed", headers), s3Answer(200, "in time"));
    assert.equal((await bytesOf(await open({}, make({})))).toString(), "in time");
    const sent = String(server.requests.at(-1)?.headers["x-amz-date"]);
    assert.equal(sent.slice(0, 8), tomorrow.toISOString().slice(0, 10).replaceAll("-", ""));
    const skewed = s3Refusal(403, "RequestTimeTooSkewed");
    server.faults.push(skewed, skewed);
    assert.deepEqual(await open(), passing("our clock and the server's differ too much (RequestTimeTooSkewed)"));
  });

  it("is told in words of our own", () => {
    const told = (error: object) => (s3Failure(error) as { reason: string }).reason;
    assert.equal(told({ name: "Error", code: "ENOTFOUND" }), "the endpoint's name has no address (ENOTFOUND)");
    assert.equal(told({ code: "CERT_HAS_EXPIRED", message: "10.0.0.1" }), "TLS failed (CERT_HAS_EXPIRED)");
    assert.equal(told({ name: "URIError", message: "10.0.0.1" }), "the request could not be made (URIError)");
    assert.equal(told({ name: "a b\r\nBcc: x", $metadata: { httpStatusCode: 500 } }), "the server answered 500");
  });
});

describe("no server", () => {
  it("at the port: for now", async () => {
    const gone = createTcpServer().listen(0, "127.0.0.1");
    await once(gone, "listening");
    const { port } = gone.address() as AddressInfo;
    gone.close();
    await once(gone, "close");
    const nobody = make({ endpoint: `http://127.0.0.1:${port}` });
    assert.deepEqual(await open({}, nobody), passing("no connection (ECONNREFUSED)"));
  });

  it("that speaks TLS: for now", async () => {
    const https = make({ endpoint: server.endpoint.replace("http:", "https:") });
    assert.deepEqual(await open({}, https), passing("TLS failed (EPROTO)"));
  });

  it("without a region or credentials: until the operator gives some", async () => {
    const chain = { endpoint: null, accessKeyId: null, secretAccessKey: null };
    assert.deepEqual(await open({}, make(chain)), passing("no region is known: see s3.region"));
    const reason = "no credentials are to be had (CredentialsProviderError): see s3.access_key_id";
    assert.deepEqual(await open({}, make({ ...chain, region: "eu-west-1" })), passing(reason));
  });

  it("whose credentials are refused elsewhere is not what refuses: until the operator mends it", async () => {
    const refusing: RequestListener = (_request, response) => {
      response
        .writeHead(403, { "content-type": "application/json" })
        .end('{"Code":"AccessDenied","Message":"10.9.8.7"}');
    };
    await withRole(refusing, async (chain) => {
      const refused = await open({}, chain);
      assert.deepEqual({ ...refused, reason: "" }, passing(""));
      assert.match(
        (refused as { reason: string }).reason,
        /^no credentials are to be had \(\w+\): see s3\.access_key_id$/,
      );
    });
  });
});

/** With the server that a container's role would be asked of. */
async function withRole(role: RequestListener, use: (chain: S3Source) => Promise<void>): Promise<void> {
  const asked = createServer(role).listen(0, "127.0.0.1");
  await once(asked, "listening");
  process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI = `http://127.0.0.1:${(asked.address() as AddressInfo).port}/`;
  try {
    await use(make({ accessKeyId: null, secretAccessKey: null }));
  } finally {
    delete process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI;
    asked.close();
    await once(asked, "close");
  }
}

describe("a body that breaks", () => {
  const breaks: { what: string; fault: S3Fault; message: string }[] = [
    { what: "cut in the middle", fault: s3Cut(10, 100), message: "it broke off before all of its 100 bytes had come" },
    {
      what: "of fewer bytes than declared",
      fault: s3Raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"),
      message: "it broke off before all of its 9 bytes had come",
    },
    {
      what: "in chunks without an end",
      fault: s3Raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n"),
      message: "it broke off before its end had come",
    },
  ];
  for (const { what, fault, message } of breaks)
    it(what, async () => {
      server.faults.push(fault);
      const opened = await open();
      await assert.rejects(bytesOf(opened), (error: Error) => {
        assert.ok(error instanceof SourceBroken);
        assert.equal(error.message, message);
        return true;
      });
    });

  it("with more bytes than declared ends where it was declared to end", async () => {
    server.faults.push(s3Raw("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nshort and more"));
    assert.equal((await bytesOf(await open())).toString(), "short");
    assert.equal((await bytesOf(await open())).toString(), "the first");
  });
});

describe("given up", () => {
  const late = passing("it did not come in time");

  it("before it begins", async () => {
    const before = server.requests.length;
    assert.deepEqual(await open({ signal: AbortSignal.abort() }), late);
    assert.equal(server.requests.length, before);
  });

  it("while the chain looks for credentials", async () => {
    const asked = gate();
    const givenUp = gate();
    const before = server.requests.length;
    const given = { AccessKeyId: "x", SecretAccessKey: "x", Token: "x", Expiration: "2999-01-01T00:00:00Z" };
    const role: RequestListener = (_request, response) => {
      asked.open();
      void givenUp.opened.then(() => response.end(JSON.stringify(given)));
    };
    await withRole(role, async (chain) => {
      const giveUp = new AbortController();
      const opening = open({ signal: giveUp.signal }, chain);
      await asked.opened;
      giveUp.abort();
      assert.deepEqual(await opening, late);
      givenUp.open();
    });
    assert.equal(server.requests.length, before);
  });

  for (const [what, fault] of [
    ["while no answer comes", s3Silence],
    ["while a refusal comes", s3Stall(7, 100, 404)],
  ] as const)
    it(what, async () => {
      const giveUp = new AbortController();
      server.faults.push((request, response, serve) => {
        fault(request, response, serve);
        setImmediate(() => giveUp.abort());
      });
      assert.deepEqual(await open({ signal: giveUp.signal }), late);
    });

  it("between opening and reading, and while it is read", async () => {
    for (const readFirst of [false, true]) {
      const giveUp = new AbortController();
      server.faults.push(s3Stall(10, 100));
      const reader = file(await open({ signal: giveUp.signal })).body[Symbol.asyncIterator]();
      if (readFirst) assert.equal((await reader.next()).value.length, 10);
      const rest = readFirst ? readOn(reader) : null;
      giveUp.abort();
      await assert.rejects(rest ?? readOn(reader), SourceBroken);
    }
  });

  async function readOn(reader: AsyncIterator<Uint8Array>): Promise<void> {
    while (!(await reader.next()).done);
  }

  it("while it drips", async () => {
    server.faults.push(s3Drip(20));
    const opened = await open({ signal: AbortSignal.timeout(300) });
    await assert.rejects(bytesOf(opened), SourceBroken);
  });

  it("leaves no connection behind, also by who does not read what he opened", async () => {
    const own = await startS3Server();
    const from = make({ endpoint: own.endpoint });
    const connections = (wanted: number) =>
      eventually(async () => (await own.connections()) === wanted, 20_000, `${wanted} connections`);
    own.faults.push(s3Endless(200), s3Endless(200));
    const unread = file(await open({}, from)).body[Symbol.asyncIterator]();
    await connections(1);
    await unread.return?.();
    await connections(0);
    for await (const chunk of file(await open({}, from)).body) if (chunk.length > 0) break;
    await connections(0);
    assert.deepEqual(await open({ bucket: "none" }, from), final("there is no such bucket (NoSuchBucket)"));
    await connections(1);
    from.close();
    await connections(0);
    await own.close();
  });
});

describe("s3.allow", () => {
  it("is asked again before anything is fetched: it may have changed since", async () => {
    const before = server.requests.length;
    const narrow = make({ allow: ["docs/in", "other"] });
    assert.deepEqual(await open({}, narrow), final("not allowed (s3.allow)"));
    assert.equal(server.requests.length, before);
    await server.put("docs", "in/b.txt", Buffer.from("b"));
    assert.equal((await bytesOf(await open({ key: "in/b.txt" }, narrow))).toString(), "b");
  });
});

describe("a tenant's s3_prefixes", () => {
  it("are asked again before anything is fetched, and with none nothing is", async () => {
    await server.put("docs", "in/c.txt", Buffer.from("c"));
    const before = server.requests.length;
    for (const prefixes of [[], ["docs/in", "other"], ["docs/a"]])
      assert.deepEqual(await open({ prefixes }), final("not allowed (s3_prefixes)"));
    const narrow = make({ allow: ["other"] });
    assert.deepEqual(await open({ prefixes: ["docs"] }, narrow), final("not allowed (s3.allow)"));
    assert.equal(server.requests.length, before);
    assert.equal((await bytesOf(await open({ key: "in/c.txt", prefixes: ["docs/in"] }))).toString(), "c");
  });

  it("are asked for what was kept too", () => {
    const object = { bucket: "docs", key: "a.txt", versionId: null };
    assert.equal(source.refusal({ ...object, prefixes: ["docs/in"] }), "not allowed (s3_prefixes)");
    assert.equal(source.refusal({ ...object, prefixes: ["docs"] }), null);
    assert.equal(source.refusal({ ...object, prefixes: null }), null);
  });
});

describe("the settings", () => {
  const none = {
    endpoint: null,
    region: null,
    accessKeyId: null,
    secretAccessKey: null,
    forcePathStyle: null,
    allow: [],
  };

  it("leave to the SDK's chain what is not given", async () => {
    const { endpoint, region, credentials, forcePathStyle } = s3ClientConfig(none);
    assert.deepEqual({ endpoint, region, credentials, forcePathStyle }, { ...nothing, forcePathStyle: false });
    process.env.AWS_ACCESS_KEY_ID = S3_KEYS.accessKeyId;
    process.env.AWS_SECRET_ACCESS_KEY = S3_KEYS.secretAccessKey;
    process.env.AWS_SESSION_TOKEN = "temporary";
    const chain = make({ accessKeyId: null, secretAccessKey: null });
    assert.equal((await bytesOf(await open({}, chain))).toString(), "the first");
    assert.equal(server.requests.at(-1)?.headers["x-amz-security-token"], "temporary");
  });

  it("with an endpoint want the path style and any region, unless they say otherwise", () => {
    const endpoint = "https://s3.example.net";
    const { region, forcePathStyle } = s3ClientConfig({ ...none, endpoint });
    assert.deepEqual([region, forcePathStyle], ["us-east-1", true]);
    const other = s3ClientConfig({ ...none, endpoint, region: "auto", forcePathStyle: false });
    assert.deepEqual([other.region, other.forcePathStyle], ["auto", false]);
  });

  it("may have a session token with the keys", async () => {
    await bytesOf(await open({}, make({ sessionToken: "short-lived" })));
    assert.equal(server.requests.at(-1)?.headers["x-amz-security-token"], "short-lived");
  });

  it("ask for no checksum, which other vendors' servers refuse", async () => {
    await bytesOf(await open());
    assert.equal(server.requests.at(-1)?.headers["x-amz-checksum-mode"], undefined);
  });
});

const nothing = { endpoint: undefined, region: undefined, credentials: undefined };

it("an answer held back comes when it is let go", async () => {
  const held = gate();
  server.faults.push(s3Held(held.opened));
  const opening = open();
  await eventually(() => server.faults.length === 0);
  held.open();
  assert.equal((await bytesOf(await opening)).toString(), "the first");
});
