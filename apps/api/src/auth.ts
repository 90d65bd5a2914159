import { presentedToken, sameToken } from "@async-mail/runtime/token";
import type { MiddlewareHandler } from "hono";
import { failure } from "./answers.ts";
import type { Env } from "./deps.ts";
import { DOCS_PATHS } from "./docs.ts";

/** Probes and documents; everything else needs a token, unknown paths too. */
const OPEN_PATHS = new Set(["/livez", "/readyz", "/health", "/openapi.json", ...DOCS_PATHS]);

/** Before anything of the body is read. `metrics` opens /metrics and nothing else. */
export function requireToken(tokens: { api: string; metrics: string | null }): MiddlewareHandler<Env> {
  return async function token(c, next) {
    const { path } = c.req;
    if (OPEN_PATHS.has(path)) return next();
    // As Node has read them: Hono would make an object of all headers first.
    const { headers } = c.env.incoming;
    const given = presentedToken((name) => headers[name] as string | undefined);
    if (sameToken(given, tokens.api) || (path === "/metrics" && sameToken(given, tokens.metrics))) return next();
    c.header("WWW-Authenticate", "Bearer");
    return failure(c, 401, "Invalid or missing API token");
  };
}
