import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, it, type TestContext } from "node:test";
import type { Claim } from "@async-mail/db/store";
import { createAttachments, type Gathered } from "@async-mail/dispatcher/attachments/gather";
import type { StoredAttachment } from "@async-mail/domain/message";
import { type ClientAuth, DEFAULT_TENANT, type TenantChange } from "@async-mail/domain/tenant";
import { temporaryStore } from "../../../support/database.ts";
import { bytes, inTurn, status } from "../../../support/file-answers.ts";
import { type FileAnswer, startFileServer } from "../../../support/file-server.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const BASIC: ClientAuth = { method: "basic", user: "erp", password: "secret" };
const BEARER: ClientAuth = { method: "bearer", token: "t0ken" };

/** The attachments of a dispatcher, with its thread, a real store, and a server that is client and web at once. */
async function start(t: TestContext, files: Record<string, FileAnswer> = {}) {
  const { store, clock } = await temporaryStore();
  const server = await startFileServer(files);
  let asked = 0;
  const attachments = createAttachments({
    contents: store.queue.contents,
    sources: (tenant) => {
      asked += 1;
      return store.tenants.sources(tenant);
    },
    settings: {
      cache: {
        folder: join(temporaryFolder(), "kept"),
        bootId: "boot",
        maxBytes: 10_000_000,
        maxAgeMs: 3_600_000,
      },
      maxBytes: 1_000_000,
      timeoutMs: 10_000,
      bytesAtOnce: 10_000_000,
      allowHosts: ["127.0.0.1"],
      s3: { endpoint: null, region: null, accessKeyId: null, secretAccessKey: null, forcePathStyle: null, allow: [] },
    },
    onError: (error) => assert.fail(String(error)),
  });
  t.after(async () => {
    await attachments.close();
    await server.close();
  });

  /** Its key. */
  async function put(id: string, change: TenantChange): Promise<string> {
    await store.tenants.put(id, change, createHash("sha256").update(id).digest("hex"), clock.now());
    return (await store.tenants.find(id))!.tenant;
  }

  async function gather(tenant: string, ...attached: StoredAttachment[]): Promise<Gathered> {
    const payload = { id: "m", from: "a@b.c", to: "d@e.f", subject: "s", attachments: attached };
    const gathered = await attachments.gather({ tenant, messageKey: 1, createdMs: 1, payload } as Claim);
    await gathered.release();
    return gathered;
  }

  return { server, put, gather, asked: () => asked };
}

function isFailure(gathered: Gathered, permanent: boolean, reason: string): void {
  assert.ok(!gathered.ok, "it was gathered");
  assert.equal(gathered.reason, reason);
  assert.equal(gathered.permanent, permanent);
}

const endpoint = (storage_path: string, more: StoredAttachment = {}): StoredAttachment => ({
  storage_path,
  fetch_mode: "endpoint",
  ...more,
});

describe("a tenant's attachments", () => {
  it("are asked for below its client_base_url with its login, or with their own", async (t) => {
    const { server, put, gather, asked } = await start(t);
    const seen: unknown[] = [];
    server.files["/erp/files"] = ({ headers }, response) => {
      seen.push(headers.authorization);
      response.end("x");
    };
    const clientBaseUrl = server.url("/erp");
    const basic = await put("basic", { clientBaseUrl, clientAttachmentPath: "/files", clientAuth: BASIC });
    const bearer = await put("bearer", { clientBaseUrl, clientAttachmentPath: "/files", clientAuth: BEARER });
    const gathered = await gather(basic, endpoint("a.pdf"));
    assert.ok(gathered.ok);
    assert.deepEqual(gathered.counts, [{ source: "endpoint", outcome: "fetched" }]);
    await gather(bearer, endpoint("a.pdf"));
    await gather(basic, endpoint("a.pdf", { auth: BEARER }));
    assert.deepEqual(seen, [`Basic ${btoa("erp:secret")}`, "Bearer t0ken", "Bearer t0ken"]);
    assert.equal(asked(), 3);
    assert.deepEqual((await gather(basic, endpoint("a.pdf"))).counts, [{ source: "endpoint", outcome: "cached" }]);
  });

  it("are told by their storage_path, and carry the client's bytes", async (t) => {
    const { server, put, gather } = await start(t);
    server.files["/proxy_get_attachments"] = async (request, response) => {
      const { storage_path } = JSON.parse(await text(request));
      response.end(`From: a@b.c\r\n\r\n${storage_path}`);
    };
    const tenant = await put("t", { clientBaseUrl: server.origin });
    const gathered = await gather(tenant, endpoint("home:in/ü.eml"));
    assert.ok(gathered.ok);
    // ASCII lines alone travel as they are.
    assert.equal(gathered.attached[0]?.as, "base64");
    const plain = await gather(tenant, endpoint("home:in/u.eml"));
    assert.ok(plain.ok);
    assert.equal(String(plain.attached[0]?.part), "From: a@b.c\r\n\r\nhome:in/u.eml");
  });

  it("on the web get no login but their own", async (t) => {
    const { server, put, gather, asked } = await start(t, { "/f": bytes("x") });
    const tenant = await put("t", { clientBaseUrl: server.origin, clientAuth: BASIC });
    const web = { storage_path: server.url("/f"), fetch_mode: "http_url" } as const;
    for (const attachment of [web, { url: server.url("/f?1") }, { ...web, auth: BEARER }])
      assert.ok((await gather(tenant, attachment)).ok);
    const sent = server.requests.map(({ headers }) => headers.authorization);
    assert.deepEqual(sent, [undefined, undefined, "Bearer t0ken"]);
    assert.equal(asked(), 0, "nothing of the tenant is needed for these");
    server.files["/proxy_get_attachments"] = bytes("x");
    await gather(tenant, endpoint("a"), { url: server.url("/f?2") });
    assert.equal(
      server.requests.find(({ path }) => path !== "/f")?.headers.authorization,
      `Basic ${btoa("erp:secret")}`,
    );
    assert.equal(server.requests.filter(({ path }) => path === "/f").at(-1)?.headers.authorization, undefined);
  });

  it("make the tenant be looked up once a message, and only where it matters", async (t) => {
    const { server, put, gather, asked } = await start(t, { "/proxy_get_attachments": bytes("x") });
    const tenant = await put("t", { clientBaseUrl: server.origin, s3Prefixes: ["docs"] });
    await gather(tenant, endpoint("a"), endpoint("b"), { s3: { bucket: "other", key: "a" } });
    assert.equal(asked(), 1);
    await gather(tenant, { s3: { bucket: "other", key: "a" } });
    assert.equal(asked(), 2);
    await gather(DEFAULT_TENANT, { s3: { bucket: "UPPER", key: "a" } });
    assert.equal(asked(), 2);
    await gather(DEFAULT_TENANT, endpoint("a"));
    assert.equal(asked(), 3);
  });

  it("fail for good where there is nobody to ask any more", async (t) => {
    const { server, put, gather } = await start(t);
    const reason = (why: string) => `Attachment fetch failed: a.pdf: ${why}`;
    const noClient = reason("its tenant has no client any more that could be asked for it");
    const tenant = await put("t", { clientBaseUrl: server.origin });
    await put("t", { clientBaseUrl: null });
    isFailure(await gather(tenant, endpoint("in/a.pdf?key=secret")), true, noClient);
    isFailure(await gather(DEFAULT_TENANT, endpoint("in/a.pdf")), true, noClient);
    for (const gone of [endpoint("in/a.pdf"), { s3: { bucket: "docs", key: "a.pdf" } }])
      isFailure(await gather("unknown", gone), true, reason("its tenant is there no more"));
    assert.equal(server.requests.length, 0);
  });

  it("fail for now where the client refuses, with its own words", async (t) => {
    const { server, put, gather } = await start(t);
    const tenant = await put("t", { clientBaseUrl: server.origin, clientAuth: BASIC });
    server.files["/proxy_get_attachments"] = inTurn(
      bytes('{"error": "login failed"}'),
      status(401, { "retry-after": "60" }),
      status(404),
      bytes('{"error": 1}'),
    );
    const attachment = endpoint("a", { filename: "a.pdf" });
    const begin = "Attachment fetch failed: a.pdf: ";
    const said = `${begin}${server.host} answered with an error in place of the file: "login failed"`;
    isFailure(await gather(tenant, attachment), false, said);
    const later = await gather(tenant, attachment);
    isFailure(later, false, `${begin}401 Unauthorized from ${server.host}`);
    assert.equal(!later.ok && later.retryAfterMs, 60_000);
    isFailure(await gather(tenant, attachment), true, `${begin}404 Not Found from ${server.host}`);
    assert.ok((await gather(tenant, endpoint("a", { filename: "a.json" }))).ok, "a file of JSON may say so");
  });

  it("are fetched from no link-local address", async (t) => {
    const { put, gather } = await start(t);
    const tenant = await put("t", { clientBaseUrl: "http://169.254.169.254" });
    const why = "169.254.169.254: its address may not be reached (client_base_url)";
    isFailure(await gather(tenant, endpoint("a")), true, `Attachment fetch failed: a: ${why}`);
  });

  it("on S3 are below its s3_prefixes, also when they are fetched", async (t) => {
    const { put, gather } = await start(t);
    const reason = "Attachment fetch failed: a.pdf: not allowed (s3_prefixes)";
    const s3 = { bucket: "docs", key: "in/a.pdf" };
    const tenant = await put("t", { s3Prefixes: ["docs/in"] });
    const allowed = await gather(tenant, { s3 });
    assert.ok(!allowed.ok && !allowed.reason.includes("not allowed"), "there is no S3 here, but it would be asked");
    await put("t", { s3Prefixes: ["docs/out"] });
    isFailure(await gather(tenant, { s3 }), true, reason);
    await put("t", { s3Prefixes: [] });
    isFailure(await gather(tenant, { s3 }), true, reason);
    const free = await gather(DEFAULT_TENANT, { s3 });
    assert.ok(!free.ok && !free.reason.includes("not allowed"));
  });

  it("known by their MD5 are asked for once, whatever their source, in one tenant", async (t) => {
    const { server, put, gather } = await start(t, { "/proxy_get_attachments": bytes("x"), "/f": bytes("y") });
    const content_md5 = createHash("md5").update("x").digest("hex");
    const one = await put("one", { clientBaseUrl: server.origin });
    const other = await put("other", { clientBaseUrl: server.origin });
    const outcome = async (tenant: string, attachment: StoredAttachment) =>
      (await gather(tenant, { ...attachment, content_md5 })).counts[0]?.outcome;
    assert.equal(await outcome(one, endpoint("a")), "fetched");
    assert.equal(await outcome(one, endpoint("b")), "cached");
    assert.equal(await outcome(one, { url: server.url("/f") }), "cached");
    assert.equal(await outcome(other, { url: server.url("/f") }), "fetched");
    assert.equal(await outcome(other, endpoint("a")), "fetched");
    assert.equal(await outcome(other, { url: server.url("/g") }), "cached");
  });
});
