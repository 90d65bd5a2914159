import type { ListPosition } from "@async-mail/db/store";

/** Opaque to clients; names a row rather than a page, so that what comes and goes before it moves nothing. */
export function toCursor({ priority, key }: ListPosition): string {
  return Buffer.from(`${priority}.${key}`).toString("base64url");
}

export function parseCursor(text: string): ListPosition | null {
  const match = Buffer.from(text, "base64url")
    .toString()
    .match(/^([0-3])\.(\d{1,15})$/);
  return match ? { priority: Number(match[1]), key: Number(match[2]) } : null;
}
