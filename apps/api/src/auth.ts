import type { Store } from "@async-mail/db/store";
import { presentedToken, sameToken, tokenHash } from "@async-mail/runtime/token";
import type { MiddlewareHandler } from "hono";
import { failure } from "./answers.ts";
import type { Env } from "./deps.ts";
import { DOCS_PATHS } from "./docs.ts";
import type { Caller } from "./scope.ts";

/** Probes and documents; everything else needs a token, unknown paths too. */
const OPEN_PATHS = new Set(["/livez", "/readyz", "/health", "/openapi.json", ...DOCS_PATHS]);

type Tokens = {
  /** Null: none is asked for. */
  api: string | null;
  metrics: string | null;
};

/**
 * Before anything of the body is read. `metrics` opens /metrics and nothing else; what a tenant's key opens, each call
 * says for itself.
 */
export function requireToken(tokens: Tokens, tenants: Pick<Store["tenants"], "byKey">): MiddlewareHandler<Env> {
  return async function token(c, next) {
    const { path } = c.req;
    if (OPEN_PATHS.has(path)) return next();
    // As Node has read them: Hono would make an object of all headers first.
    const { headers } = c.env.incoming;
    const given = presentedToken((name) => headers[name] as string | undefined);
    const caller = (path === "/metrics" && sameToken(given, tokens.metrics) ? ADMIN : null) ?? (await callerOf(given));
    if (caller === null) {
      c.header("WWW-Authenticate", "Bearer");
      return failure(c, 401, "Invalid or missing API token");
    }
    c.set("caller", caller);
    return next();
  };

  async function callerOf(given: string | null): Promise<Caller | null> {
    if (sameToken(given, tokens.api)) return ADMIN;
    // Looked up by its hash: how long that takes tells nothing of any key.
    const tenant = given === null ? null : await tenants.byKey(tokenHash(given));
    if (tenant !== null) return { kind: "tenant", tenant };
    return tokens.api === null ? ADMIN : null;
  }
}

const ADMIN: Caller = { kind: "admin" };
