import { hash, timingSafeEqual } from "node:crypto";

/** The token a request carries: `X-API-Token`, else `Authorization: Bearer`; null: none. */
export function presentedToken(header: (name: string) => string | null | undefined): string | null {
  const own = header("x-api-token");
  if (own) return own;
  return /^bearer +(\S+)\s*$/i.exec(header("authorization") ?? "")?.[1] ?? null;
}

/** In constant time, whatever their lengths. */
export function sameToken(presented: string | null, wanted: string | null): boolean {
  if (presented === null || wanted === null) return false;
  return timingSafeEqual(digest(presented), digest(wanted));
}

/** What is stored of a key that is shown once: it is random and long, so that one plain hash is enough. */
export function tokenHash(token: string): string {
  return hash("sha256", token, "hex");
}

function digest(token: string): Buffer {
  return hash("sha256", token, "buffer");
}
