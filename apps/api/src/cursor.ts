import { createCipheriv, createDecipheriv, hash } from "node:crypto";
import type { ListPosition } from "@async-mail/db/store";

/** Where a page ends. Opaque to clients; names a row rather than a page, so that what comes and goes before it moves nothing. */
export type Cursors = {
  write(position: ListPosition): string;
  /** Null: none of ours. */
  read(text: string): ListPosition | null;
};

/** One block of AES, which hides how many messages all tenants have together; what is garbled shows by its zeros. */
const BLOCK_BYTES = 16;
const CIPHER = "aes-256-ecb";

export function createCursors(secret: string): Cursors {
  const key = hash("sha256", `cursor ${secret}`, "buffer");
  return {
    write({ priority, key: row }) {
      const block = Buffer.alloc(BLOCK_BYTES);
      block.writeUInt8(priority, 7);
      block.writeBigUInt64BE(BigInt(row), 8);
      return createCipheriv(CIPHER, key, null).setAutoPadding(false).update(block).toString("base64url");
    },
    read(text) {
      const block = Buffer.from(text, "base64url");
      if (block.length !== BLOCK_BYTES) return null;
      const plain = createDecipheriv(CIPHER, key, null).setAutoPadding(false).update(block);
      const priority = plain.readUInt8(7);
      const isOurs = plain.subarray(0, 7).every((byte) => byte === 0) && priority <= 3;
      const row = Number(plain.readBigUInt64BE(8));
      return isOurs && Number.isSafeInteger(row) ? { priority, key: row } : null;
    },
  };
}
