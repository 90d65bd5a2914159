import type { FieldIssue } from "@async-mail/domain/account";
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Env } from "./deps.ts";

/** Every success but a handful of documents and probes. Null fields are left out, one level deep: a view leaves out its own. */
export function success(c: Context<Env>, fields: Record<string, unknown> = {}): Response {
  return c.json({ ok: true, ...withoutNulls(fields), ...warnings(c) });
}

/** Every failure. No other top-level key, above all not `rejected`: clients read that as a verdict on their batch. */
export function failure(
  c: Context<Env>,
  status: ContentfulStatusCode,
  error: string,
  detail: unknown = error,
): Response {
  return c.json({ ok: false, error, detail }, status);
}

/** 422: which field, and what is wanted. `loc` begins with `body`, `query` or `path`. */
export function unprocessable(c: Context<Env>, issues: FieldIssue[]): Response {
  const error = issues.map(({ loc, msg }) => `${loc.length > 1 ? loc.slice(1).join(".") : loc[0]}: ${msg}`).join("; ");
  return failure(c, 422, error, issues);
}

/** 503: the same request may succeed later. */
export function unavailable(c: Context<Env>, error: string, retryAfterSeconds: number): Response {
  c.header("Retry-After", String(retryAfterSeconds));
  return failure(c, 503, error);
}

export function notFound(c: Context<Env>, what: string): Response {
  return failure(c, 404, `${what} not found`);
}

/** JSON leaves out what is undefined, and our answers leave out what is null. */
export function withoutNulls<T extends Record<string, unknown>>(fields: T): { [K in keyof T]: Exclude<T[K], null> } {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== null) kept[name] = value;
  return kept as { [K in keyof T]: Exclude<T[K], null> };
}

export function warnings(c: Context<Env>): { warnings?: string[] } {
  const found = c.get("warnings");
  return found?.length ? { warnings: found } : {};
}
