import assert from "node:assert/strict";
import { test } from "node:test";
import { attachmentName, readAttachment, type StoredAttachment } from "@async-mail/domain/attachment";
import { type AttachmentLimits, readAttachments } from "@async-mail/domain/attachments";
import { draftAttachments } from "@async-mail/domain/draft";
import type { RawAttachment } from "@async-mail/domain/message-schema";

const MAX_BYTES = 100;
const MD5 = "0123456789abcdef0123456789abcdef";

function read(raw: RawAttachment) {
  const found = readAttachment(raw, MAX_BYTES);
  assert.ok(found.ok, JSON.stringify(found));
  return found.value;
}

function faultOf(raw: RawAttachment): string {
  const found = readAttachment(raw, MAX_BYTES);
  assert.ok(!found.ok, "it was taken");
  return found.fault;
}

const BY_ITSELF: [storage_path: string, stored: StoredAttachment][] = [
  ["home:in/a.pdf", { storage_path: "home:in/a.pdf", fetch_mode: "endpoint" }],
  ["/etc/passwd", { storage_path: "/etc/passwd", fetch_mode: "endpoint" }],
  ["file:///etc/passwd", { storage_path: "file:///etc/passwd", fetch_mode: "endpoint" }],
  ["https:x", { storage_path: "https:x", fetch_mode: "endpoint" }],
  ["YWJj", { storage_path: "YWJj", fetch_mode: "endpoint" }],
  ["https://x.y/a.pdf?k=v", { storage_path: "https://x.y/a.pdf?k=v", fetch_mode: "http_url" }],
  ["HTTP://x.y/", { storage_path: "HTTP://x.y/", fetch_mode: "http_url" }],
  ["base64:YWJj", { size: 3 }],
  ["BASE64:", { size: 0 }],
];

for (const [storage_path, stored] of BY_ITSELF)
  test(`storage path: ${storage_path} is ${stored.fetch_mode ?? "base64"} by its beginning`, () => {
    for (const fetch_mode of [undefined, null]) assert.deepEqual(read({ storage_path, fetch_mode }).stored, stored);
  });

test("storage path: the mode that is given goes before what it begins with", () => {
  const stored = ({ stored }: ReturnType<typeof read>) => stored;
  const web = "https://x.y/a";
  const asked = read({ storage_path: web, fetch_mode: "endpoint" });
  assert.deepEqual(stored(asked), { storage_path: web, fetch_mode: "endpoint" });
  const odd = read({ storage_path: "base64:YQ", fetch_mode: "endpoint" });
  assert.deepEqual([stored(odd), odd.content], [{ storage_path: "base64:YQ", fetch_mode: "endpoint" }, null]);
  for (const storage_path of ["YW Jj\r\n", "base64:YWJj", "Base64:YWJj"]) {
    const inline = read({ storage_path, fetch_mode: "base64" });
    assert.deepEqual([stored(inline), Buffer.from(inline.content!).toString()], [{ size: 3 }, "abc"]);
  }
});

const FAULTS: [raw: RawAttachment, fault: string][] = [
  [{ storage_path: "" }, ".storage_path: is empty"],
  [{ storage_path: " \n", fetch_mode: "endpoint" }, ".storage_path: is empty"],
  [{ storage_path: "x".repeat(16_385) }, ".storage_path: longer than 16384 characters"],
  [{ storage_path: "a\ud800" }, ".storage_path: not well-formed Unicode"],
  [{ storage_path: "home:a", fetch_mode: "http_url" }, ".storage_path: not an http or https address"],
  [{ storage_path: "https://a b/" }, ".storage_path: not an http or https address"],
  [{ storage_path: "base64:no base64!" }, ".storage_path: not base64"],
  [{ storage_path: "home:a", fetch_mode: "base64" }, ".storage_path: not base64"],
  [
    { storage_path: `base64:${Buffer.alloc(101).toString("base64")}` },
    ".storage_path: it has 101 bytes, attachments.max_bytes allows at most 100",
  ],
  [{}, " has no source, one of content, url, storage_path and s3 is wanted"],
  [
    { storage_path: "a", url: "http://x/" },
    " has url and storage_path, one of content, url, storage_path and s3 is wanted",
  ],
  [
    { storage_path: "a", content: "YQ" },
    " has content and storage_path, one of content, url, storage_path and s3 is wanted",
  ],
  [
    { storage_path: "a", s3: { bucket: "docs", key: "k" } },
    " has storage_path and s3, one of content, url, storage_path and s3 is wanted",
  ],
  [{ storage_path: "a", auth: { method: "basic" } }, ".auth.user: is wanted with method basic"],
  [{ storage_path: "a", auth: { method: "bearer", token: "" } }, ".auth.token: is wanted with method bearer"],
  [
    { storage_path: "a", auth: { method: "bearer", token: "a b" } },
    ".auth.token: has blanks or other characters than printable ASCII",
  ],
  [
    { storage_path: "a", auth: { method: "basic", user: "a:b", password: "c" } },
    ".auth.user: has a : in it, which ends a user's name (RFC 7617)",
  ],
  [
    { storage_path: "a", auth: { method: "basic", user: "a", password: "b\r\nx: y" } },
    ".auth.password: has control characters",
  ],
  [{ storage_path: "a", mime_type: "text" }, '.mime_type: "text" is not a media type'],
];

for (const [raw, fault] of FAULTS)
  test(`storage path: ${JSON.stringify(raw).slice(0, 100)} is refused`, () => assert.equal(faultOf(raw), fault));

test("storage path: an empty content beside it is none", () => {
  assert.equal(read({ storage_path: "a", content: "" }).stored.storage_path, "a");
});

test("storage path: a login is kept, and of nothing nothing", () => {
  const authOf = (auth: RawAttachment["auth"]) => read({ storage_path: "a", auth }).stored.auth;
  assert.deepEqual(authOf({ method: "bearer", token: "t" }), { method: "bearer", token: "t" });
  const basic = { method: "basic", user: "u", password: "p" } as const;
  assert.deepEqual(authOf(basic), basic);
  for (const none of [undefined, null, {}, { method: "none", token: "t" } as const])
    assert.equal(authOf(none), undefined);
});

test("storage path: mime_type is content_type by another name, which goes first", () => {
  const typeOf = (raw: RawAttachment) => read({ storage_path: "a", ...raw }).stored.content_type;
  assert.equal(typeOf({ mime_type: "application/pdf" }), "application/pdf");
  assert.equal(typeOf({ mime_type: "application/pdf", content_type: "" }), "application/pdf");
  assert.equal(typeOf({ mime_type: "application/pdf", content_type: "text/csv" }), "text/csv");
  assert.equal(typeOf({ mime_type: "" }), undefined);
});

test("storage path: an MD5 is taken from where it stands first, and is a hint alone", () => {
  const other = "f".repeat(32);
  const md5Of = (raw: RawAttachment) => {
    const { stored, warnings } = read({ storage_path: "home:a.pdf", ...raw });
    return [stored.content_md5, ...warnings];
  };
  assert.deepEqual(md5Of({}), [undefined]);
  assert.deepEqual(md5Of({ content_md5: ` ${MD5.toUpperCase()} ` }), [MD5]);
  assert.deepEqual(md5Of({ filename: `a{MD5:${MD5}}.pdf` }), [MD5]);
  assert.deepEqual(md5Of({ filename: `a{md5:${MD5.toUpperCase()}}.pdf` }), [MD5]);
  assert.deepEqual(md5Of({ storage_path: `home:a{MD5:${MD5}}.pdf` }), [MD5]);
  assert.deepEqual(md5Of({ content_md5: MD5, filename: `a{MD5:${other}}.pdf` }), [MD5]);
  const ignored = ".content_md5 ignored: not 32 hexadecimal digits";
  for (const content_md5 of ["x", MD5.slice(1), `${MD5}0`])
    assert.deepEqual(md5Of({ content_md5 }), [undefined, ignored]);
  assert.deepEqual(md5Of({ filename: "a{MD5:12}.pdf" }), [undefined]);
});

const NAMES: [raw: RawAttachment, name: string][] = [
  [{ storage_path: "home:in/2026/a b.pdf" }, "a b.pdf"],
  [{ storage_path: "home:in/a.pdf?key=secret" }, "a.pdf"],
  [{ storage_path: "in\\b.pdf#part" }, "b.pdf#part"],
  [{ storage_path: `home:in/a{MD5:${MD5}}.pdf` }, "a.pdf"],
  [{ storage_path: "home:in/" }, "attachment"],
  [{ storage_path: "base64:YQ" }, "attachment"],
  [{ storage_path: "https://x.y/in/a%20b.pdf?key=secret" }, "a b.pdf"],
  [{ storage_path: "a%20b.pdf" }, "a%20b.pdf"],
  [{ storage_path: "home:a", filename: `report{MD5:${MD5}}.pdf` }, "report.pdf"],
  [{ storage_path: "home:a", filename: "report{MD5:}.pdf" }, "report.pdf"],
  [{ storage_path: "home:in/a.pdf", filename: `{MD5:${MD5}}` }, "a.pdf"],
  [{ storage_path: "home:a.pdf", filename: "../../b.pdf" }, "b.pdf"],
];

for (const [raw, name] of NAMES)
  test(`storage path: ${JSON.stringify(raw)} goes out as ${name}`, () => {
    assert.equal(attachmentName(read(raw).stored), name);
  });

test("storage path: what is to be asked is a source of its own, what is on the web a URL", () => {
  const auth = { method: "bearer", token: "t" } as const;
  const attachments = [
    read({ storage_path: "home:a", auth, content_md5: MD5 }).stored,
    read({ storage_path: "https://x.y/a", auth }).stored,
    read({ storage_path: "base64:YQ" }).stored,
    read({ storage_path: "home:a" }).stored,
  ];
  const drafts = draftAttachments({ id: "m", from: "a@b.c", to: "d@e.f", subject: "s", attachments });
  assert.deepEqual(
    drafts.map(({ source }) => source),
    [
      { kind: "endpoint", path: "home:a", auth },
      { kind: "url", url: "https://x.y/a", auth },
      { kind: "content", index: 0 },
      { kind: "endpoint", path: "home:a", auth: null },
    ],
  );
  assert.deepEqual(
    drafts.map(({ md5 }) => md5),
    [MD5, null, null, null],
  );
});

const LIMITS: AttachmentLimits = { s3Allow: [], maxAttachmentBytes: MAX_BYTES, tenantS3: null, endpoint: true };

test("storage path: without a client only what needs none", () => {
  const without = { ...LIMITS, endpoint: false };
  const raw = [{ storage_path: "https://x.y/a" }, { storage_path: "base64:YQ" }, { storage_path: "home:a" }];
  assert.ok(readAttachments(raw, LIMITS).ok);
  assert.ok(readAttachments(raw.slice(0, 2), without).ok);
  assert.deepEqual(readAttachments(raw, without), {
    ok: false,
    fault: "attachments[2].storage_path: the tenant has no client_base_url to ask for it",
  });
});

test("s3: a tenant's objects are below its own prefixes, and s3.allow's", () => {
  const faultIn = (limits: Partial<AttachmentLimits>) => {
    const found = readAttachments([{ s3: { bucket: "docs", key: "in/a" } }], { ...LIMITS, ...limits });
    return found.ok ? null : found.fault;
  };
  const refused = "attachments[0].s3: not allowed";
  assert.equal(faultIn({}), null);
  assert.equal(faultIn({ tenantS3: ["other", "docs/in"] }), null);
  assert.equal(faultIn({ tenantS3: [] }), refused);
  assert.equal(faultIn({ tenantS3: ["docs/i"] }), refused);
  assert.equal(faultIn({ tenantS3: ["docs"], s3Allow: ["docs/in"] }), null);
  assert.equal(faultIn({ tenantS3: ["docs"], s3Allow: ["other"] }), refused);
});
