import { createHash } from "node:crypto";

/** A key of AES-256, and the id by which what it has sealed says so. */
export type Key = { id: string; key: Buffer };

const KEY_BYTES = 32;

export const KEY_WANTED = "32 random bytes in base64, as `openssl rand -base64 32` prints them, or as 64 hex digits";

export function keyOf(key: Buffer): Key {
  return { id: createHash("sha256").update(key).digest("hex").slice(0, 8), key };
}

/** The one form in which keys are passed on and written. */
export function textOf({ key }: Key): string {
  return key.toString("base64");
}

/** Keys separated by commas or white space, comments left out; null stands for what is no key. */
export function readKeys(text: string): (Key | null)[] {
  const words = text.replaceAll(/^\s*#.*$/gm, "").split(/[\s,]+/);
  return words.filter((word) => word !== "").map(readKey);
}

function readKey(text: string): Key | null {
  if (/^[0-9a-f]{64}$/i.test(text)) return keyOf(Buffer.from(text, "hex"));
  const key = Buffer.from(text, "base64");
  // Written again it must be the same: a longer one that was cut off rarely is, and Node skips what is no base64.
  const given = text.replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_");
  return key.length === KEY_BYTES && key.toString("base64url") === given ? keyOf(key) : null;
}
