import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

/** Eight hex digits, and the 32 bytes that they stand for. */
export type SealKey = { id: string; key: Buffer };

/** Sealed with a key that is not here. */
export class KeyUnknown extends Error {
  override name = "KeyUnknown";
  readonly keyId: string;

  constructor(keyId: string) {
    super(`it is encrypted with the key ${keyId}, which is not among those given`);
    this.keyId = keyId;
  }
}

/** No sealed text, or one that was changed, or sealed for another place. */
export class NotOpened extends Error {
  override name = "NotOpened";
}

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Nonce and tag alone are 38 characters. */
const SEALED = /^v1:([0-9a-f]{8}):([A-Za-z0-9_-]{38,})$/;

/**
 * `v1:<key>:<nonce, ciphertext and tag>`: AES-256-GCM with a random nonce, good for some 2^32 texts a key (NIST SP
 * 800-38D, 8.3). It opens with the same context only, so that it is of no use in another row or column.
 */
export function seal({ id, key }: SealKey, text: string, context: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(placeOf(context));
  const sealed = [nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()];
  return `v1:${id}:${Buffer.concat(sealed).toString("base64url")}`;
}

/** Throws KeyUnknown or NotOpened. */
export function open(find: (id: string) => Buffer | null, sealed: string, context: string): string {
  const { keyId, bytes } = partsOf(sealed);
  const key = find(keyId);
  if (key === null) throw new KeyUnknown(keyId);
  const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(placeOf(context));
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
  try {
    return Buffer.concat([text, decipher.final()]).toString("utf8");
  } catch (error) {
    throw new NotOpened("it was changed since it was encrypted, or belongs to another row", { cause: error });
  }
}

/** By its looks: a password may look so too. */
export function isSealed(text: string): boolean {
  return SEALED.test(text);
}

/** Throws NotOpened for what is not sealed. */
export function keyIdOf(sealed: string): string {
  return partsOf(sealed).keyId;
}

/** Authenticated with the text, though it does not stand in it. */
function placeOf(context: string): Buffer {
  return Buffer.from(context);
}

function partsOf(sealed: string): { keyId: string; bytes: Buffer } {
  const [, keyId, base64] = SEALED.exec(sealed) ?? [];
  if (keyId === undefined || base64 === undefined) throw new NotOpened("it is not in the form of an encrypted text");
  return { keyId, bytes: Buffer.from(base64, "base64url") };
}
