import assert from "node:assert/strict";
import { test } from "node:test";
import { type AttachmentSecrets, maskedUrl, withoutSecrets, withSecrets } from "@async-mail/domain/attachment-secrets";
import type { Payload, StoredAttachment } from "@async-mail/domain/message";
import fc from "fast-check";

const payloadOf = (...attachments: StoredAttachment[]): Payload => ({
  id: "m1",
  from: "a@example.com",
  to: "b@example.com",
  subject: "s",
  attachments,
});

/** How the one attachment is shown, and what of it is secret. */
function split(attachment: StoredAttachment) {
  const payload = payloadOf(attachment);
  const before = JSON.stringify(payload);
  const { shown, secrets } = withoutSecrets(payload);
  assert.equal(JSON.stringify(payload), before, "what was given is left as it was");
  // As the database keeps them: through JSON, and with the fields in their order.
  const kept = JSON.parse(JSON.stringify({ shown, secrets }));
  assert.equal(JSON.stringify(withSecrets(kept.shown, kept.secrets)), before);
  return { shown: shown.attachments?.[0], secret: secrets === null ? null : secrets[0] };
}

const PLAIN: StoredAttachment[] = [
  { filename: "a?b@c.txt", size: 5 },
  { s3: { bucket: "b", key: "k" } },
  { url: "https://files.example.com/a.pdf" },
  { url: "HTTP://Files.Example.com:80/a/../b.pdf", filename: "b.pdf" },
  { storage_path: "home:invoices/2026/a b@c.pdf", fetch_mode: "endpoint" },
  { storage_path: "home:invoices/#1.pdf", fetch_mode: "endpoint" },
  { storage_path: "volume/a.pdf", auth: { method: "none" } },
  { storage_path: "https://files.example.com/a.pdf", fetch_mode: "http_url", content_md5: "0123" },
];

for (const attachment of PLAIN) {
  test(`attachment secrets: none in ${JSON.stringify(attachment)}`, () => {
    assert.deepEqual(split(attachment), { shown: attachment, secret: null });
  });
}

const SECRET: [given: StoredAttachment, shown: unknown, secret: unknown][] = [
  [
    { filename: "a.pdf", url: "https://usr:PW@host/a.pdf?sig=S#F" },
    { filename: "a.pdf", url: "https://***@host/a.pdf?***" },
    { url: "https://usr:PW@host/a.pdf?sig=S#F" },
  ],
  [{ url: "http:\\\\usr:PW@host\\b" }, { url: "http://***@host/b" }, { url: "http:\\\\usr:PW@host\\b" }],
  [{ url: "http://host/b#F" }, { url: "http://host/b?***" }, { url: "http://host/b#F" }],
  [{ url: "//usr:PW@host/" }, { url: "***" }, { url: "//usr:PW@host/" }],
  [
    { storage_path: "http://host/a?sig=S", fetch_mode: "http_url" },
    { storage_path: "http://host/a?***", fetch_mode: "http_url" },
    { storage_path: "http://host/a?sig=S" },
  ],
  [
    { storage_path: "http://host/a#F", fetch_mode: "http_url" },
    { storage_path: "http://host/a?***", fetch_mode: "http_url" },
    { storage_path: "http://host/a#F" },
  ],
  [
    { storage_path: "home:a.pdf?sig=S", fetch_mode: "endpoint" },
    { storage_path: "***", fetch_mode: "endpoint" },
    { storage_path: "home:a.pdf?sig=S" },
  ],
  [
    { storage_path: "ftp://usr:PW@host/a", fetch_mode: "endpoint" },
    { storage_path: "ftp://***@host/a", fetch_mode: "endpoint" },
    { storage_path: "ftp://usr:PW@host/a" },
  ],
  [{ storage_path: "//usr:PW@host/a" }, { storage_path: "***" }, { storage_path: "//usr:PW@host/a" }],
  [{ storage_path: "http:usr@host/a" }, { storage_path: "http://***@host/a" }, { storage_path: "http:usr@host/a" }],
  [
    { storage_path: "a.pdf", fetch_mode: "endpoint", auth: { method: "bearer", token: "T" } },
    { storage_path: "a.pdf", fetch_mode: "endpoint", auth: { method: "bearer" } },
    { auth: { method: "bearer", token: "T" } },
  ],
  [
    { url: "http://host/", auth: { method: "basic", user: "usr", password: "PW" } },
    { url: "http://host/", auth: { method: "basic" } },
    { auth: { method: "basic", user: "usr", password: "PW" } },
  ],
];

for (const [attachment, shown, secret] of SECRET) {
  test(`attachment secrets: ${JSON.stringify(attachment)} is shown as ${JSON.stringify(shown)}`, () => {
    assert.deepEqual(split(attachment), { shown, secret });
  });
}

test("attachment secrets stand under the index of their attachment", () => {
  const payload = payloadOf({ size: 1 }, { url: "http://h/?a" }, { size: 2 }, { url: "http://h/?b" });
  const { shown, secrets } = withoutSecrets(payload);
  const expected: AttachmentSecrets = { 1: { url: "http://h/?a" }, 3: { url: "http://h/?b" } };
  assert.deepEqual(secrets, expected);
  assert.deepEqual(withSecrets(shown, secrets), payload);
});

test("attachment secrets: a payload without attachments has none", () => {
  const { attachments: _, ...payload } = payloadOf();
  for (const one of [payload, payloadOf()]) assert.deepEqual(withoutSecrets(one), { shown: one, secrets: null });
});

test("what is shown is shown the same again", () => {
  for (const [attachment] of SECRET) {
    const { url, storage_path } = withoutSecrets(payloadOf(attachment)).shown.attachments?.[0] ?? {};
    for (const text of [url, storage_path])
      if (text?.includes("***")) assert.equal(maskedUrl(text), text, JSON.stringify(attachment));
  }
});

// Capitals stand in nothing else that is generated, so that finding them is finding a secret.
const secret = fc.string({ unit: fc.constantFrom(..."QRSTUVWXYZ"), minLength: 4, maxLength: 12 });
const path = fc
  .string({ unit: fc.constantFrom(..."abc/-._%~ @:"), maxLength: 12 })
  .map((text) => text.replace(/%/g, "%41"));
const slashes = fc.constantFrom("//", "//", "\\\\", "/\\", "///");
const url = fc
  .record({ scheme: fc.constantFrom("http:", "https:"), slashes, user: fc.option(secret), password: fc.option(secret) })
  .chain(({ scheme, slashes, user, password }) => {
    const login = user === null && password === null ? "" : `${user ?? ""}${password === null ? "" : `:${password}`}@`;
    const end = fc.option(fc.tuple(fc.constantFrom("?", "#", "?a=", "?a#"), secret).map((parts) => parts.join("")));
    return fc.tuple(path, end).map(([path, end]) => `${scheme}${slashes}${login}h.example/${path}${end ?? ""}`);
  });
const auth = fc.oneof(
  fc.record({ method: fc.constant("basic" as const), user: secret, password: secret }),
  fc.record({ method: fc.constant("bearer" as const), token: secret }),
  fc.constant({ method: "none" as const }),
);
const storagePath = fc.oneof(
  url,
  path,
  fc.tuple(path, secret).map(([path, end]) => `${path}?${end}`),
  fc.tuple(secret, secret, path).map(([user, password, path]) => `//${user}:${password}@h.example/${path}`),
);
const attachment: fc.Arbitrary<StoredAttachment> = fc.oneof(
  fc.record({ size: fc.nat() }),
  fc.record({ url, filename: path, auth }, { requiredKeys: ["url"] }),
  fc.record(
    { storage_path: url, fetch_mode: fc.constant("http_url" as const), auth },
    { requiredKeys: ["storage_path", "fetch_mode"] },
  ),
  fc.record(
    {
      storage_path: storagePath.filter((text) => !/^[^?]*#/.test(text)),
      fetch_mode: fc.constant("endpoint" as const),
      auth,
    },
    { requiredKeys: ["storage_path"] },
  ),
);

test("nothing secret is shown, and with its secrets a payload is what it was", () => {
  fc.assert(
    fc.property(fc.array(attachment, { maxLength: 4 }), (attachments) => {
      const payload = payloadOf(...attachments);
      const { shown, secrets } = withoutSecrets(payload);
      assert.doesNotMatch(JSON.stringify(shown), /[Q-Z]/);
      const kept = JSON.parse(JSON.stringify({ shown, secrets }));
      assert.equal(JSON.stringify(withSecrets(kept.shown, kept.secrets)), JSON.stringify(payload));
      // A path such as `//@` only looks as if it had a login, and is kept as if it had.
      if (/[Q-Z]/.test(JSON.stringify(payload))) assert.notEqual(secrets, null);
    }),
    { numRuns: 2000 },
  );
});

test("whatever an address is, it comes back, and what is shown has neither login nor query", () => {
  fc.assert(
    fc.property(fc.oneof(fc.webUrl({ withQueryParameters: true, withFragments: true }), fc.string()), (url) => {
      const payload = payloadOf({ url });
      const { shown, secrets } = withoutSecrets(payload);
      assert.deepEqual(withSecrets(shown, secrets), payload);
      const { username, password, search, hash } = URL.parse(shown.attachments?.[0]?.url ?? "") ?? {};
      assert.match(
        `${username ?? ""}${password ?? ""}${search ?? ""}${hash ?? ""}`,
        /^(%2A%2A%2A|\*\*\*)?(\?\*\*\*)?$/,
      );
    }),
    { numRuns: 2000 },
  );
});
