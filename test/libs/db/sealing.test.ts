import assert from "node:assert/strict";
import { createHash, randomBytes, webcrypto } from "node:crypto";
import { test } from "node:test";
import { isSealed, KeyUnknown, keyIdOf, NotOpened, open, seal } from "@async-mail/db/sqlite/sealing";
import fc from "fast-check";

const CONTEXT = "accounts.password of queue 7";
const SECRET = "hunter2-ü-😀";
const key = keyFrom("a");
const other = keyFrom("b");
const find = (id: string) => [key, other].find((one) => one.id === id)?.key ?? null;

function keyFrom(text: string) {
  const bytes = createHash("sha256").update(text).digest();
  return { id: createHash("sha256").update(bytes).digest("hex").slice(0, 8), key: bytes };
}

function notOpened(sealed: string, context = CONTEXT): void {
  assert.throws(
    () => open(find, sealed, context),
    (error) => error instanceof NotOpened && !`${error.message}${error.cause}`.includes(SECRET),
    sealed,
  );
}

/** With one byte of nonce, ciphertext or tag otherwise. */
function changed(sealed: string, position: number): string {
  const at = sealed.lastIndexOf(":") + 1;
  const bytes = Buffer.from(sealed.slice(at), "base64url");
  bytes[position]! ^= 1;
  return `${sealed.slice(0, at)}${bytes.toString("base64url")}`;
}

test("what is sealed opens again, and says with which key", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (text, context) => {
      const sealed = seal(key, text, context);
      assert.equal(open(find, sealed, context), text);
      assert.ok(isSealed(sealed));
      assert.equal(keyIdOf(sealed), key.id);
    }),
  );
});

test("it is AES-256-GCM: nonce, ciphertext and tag, as another implementation reads them", async () => {
  const sealed = seal(key, SECRET, CONTEXT);
  const [version, id, body = ""] = sealed.split(":");
  assert.deepEqual([version, id], ["v1", key.id]);
  const bytes = Buffer.from(body, "base64url");
  assert.equal(bytes.length, 12 + Buffer.byteLength(SECRET) + 16);
  const imported = await webcrypto.subtle.importKey("raw", new Uint8Array(key.key), "AES-GCM", false, ["decrypt"]);
  const how = { name: "AES-GCM", iv: bytes.subarray(0, 12), additionalData: Buffer.from(CONTEXT), tagLength: 128 };
  const opened = await webcrypto.subtle.decrypt(how, imported, bytes.subarray(12));
  assert.equal(Buffer.from(opened).toString(), SECRET);
});

test("the same text is never sealed the same twice", () => {
  const all = Array.from({ length: 1000 }, () => seal(key, SECRET, CONTEXT));
  assert.equal(new Set(all.map((sealed) => sealed.slice(0, 28))).size, all.length);
});

test("a sealed text opens in no other row or column", () => {
  const sealed = seal(key, SECRET, CONTEXT);
  for (const context of ["accounts.password of queue 8", "tenants.client_secret of 7", "", `${CONTEXT} `])
    notOpened(sealed, context);
});

test("a sealed text of which one byte was changed does not open", () => {
  const sealed = seal(key, SECRET, CONTEXT);
  const length = 12 + Buffer.byteLength(SECRET) + 16;
  for (let position = 0; position < length; position++) notOpened(changed(sealed, position));
});

test("a sealed text that was cut, made longer or put under another key does not open", () => {
  const sealed = seal(key, SECRET, CONTEXT);
  for (let end = 0; end < sealed.length - 1; end++) notOpened(sealed.slice(0, end));
  notOpened(`${sealed}AAAA`);
  notOpened(sealed.replace(key.id, other.id));
  notOpened(sealed.replace("v1:", "v2:"));
});

test("a key that is not there is named, and nothing else", () => {
  const missing = { id: "0badf00d", key: randomBytes(32) };
  const sealed = seal(missing, SECRET, CONTEXT);
  assert.throws(
    () => open(find, sealed, CONTEXT),
    (error) =>
      error instanceof KeyUnknown &&
      error.keyId === "0badf00d" &&
      error.message === "it is encrypted with the key 0badf00d, which is not among those given",
  );
});

test("plain texts are not taken for sealed ones", () => {
  const plain = ["", "hunter2", "v1:", "v1:0badf00d:", "v1:0badf00d:aGVsbG8", `v1:0BADF00D:${"A".repeat(40)}`];
  for (const text of [...plain, ` ${seal(key, "", "")}`, `${seal(key, "", "")}\n`]) {
    assert.equal(isSealed(text), false, text);
    assert.throws(() => keyIdOf(text), NotOpened, text);
    notOpened(text);
  }
});
