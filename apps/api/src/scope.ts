import type { Tenant } from "@async-mail/db/store";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import type { Context } from "hono";
import { failure, unprocessable } from "./answers.ts";
import type { Deps, Env } from "./deps.ts";

/** Who asks: whoever has the API token, or the tenant whose key was presented. */
export type Caller = { kind: "admin" } | { kind: "tenant"; tenant: Pick<Tenant, "tenant" | "id"> };

/** Whose mail a call is about. */
export type Scope = {
  /** For `store.of`. */
  tenant: string;
  /** As the tenant is known outside. */
  id: string;
  /** A tenant's key, or its id in the call: then its records say so, and an id sent again is no duplicate. */
  withTenants: boolean;
  by: "admin" | "tenant";
};

/**
 * The rule of a call. `open`: for everybody, without a token. `admin`: the API token alone. `tenant`: the API token, or a
 * tenant's key for its own mail. `own`: the API token, or the key of the tenant that the path names.
 */
export type Access = "open" | "admin" | "tenant" | "own";

export const NOT_THIS_TENANT = "Token not authorized for this tenant";
export const ADMIN_WANTED = "Admin token required";

type Deciding = Pick<Deps, "store">;

/** Null: the caller may go on, and `scope` is set for what is about a tenant's mail. */
export async function decideAccess(deps: Deciding, c: Context<Env>, access: Access): Promise<Response | null> {
  if (access === "open") return null;
  const caller = c.get("caller");
  if (access === "admin") return caller.kind === "admin" ? null : failure(c, 403, ADMIN_WANTED);
  if (access === "own") {
    const isOwn = caller.kind === "admin" || caller.tenant.id === c.req.param("id");
    return isOwn ? null : failure(c, 403, NOT_THIS_TENANT);
  }
  return decideScope(deps, c, c.req.query("tenant_id"));
}

/** The tenant that a body names too has to be the same. */
export async function decideScopeOfBody(deps: Deciding, c: Context<Env>, named: unknown): Promise<Response | null> {
  if (c.get("scope") === undefined || named === undefined || named === null || named === "") return null;
  if (typeof named !== "string")
    return unprocessable(c, [
      { type: "string_type", loc: ["body", "tenant_id"], msg: "Input should be a valid string" },
    ]);
  const before = c.get("scope")!;
  const isFree = before.by === "admin" && !c.req.query("tenant_id");
  if (isFree) return decideScope(deps, c, named);
  return named === before.id ? null : otherThanNamed(c, before, named);
}

function otherThanNamed(c: Context<Env>, { by, id }: Scope, named: string): Response {
  if (by === "tenant") return failure(c, 403, NOT_THIS_TENANT);
  const msg = `${JSON.stringify(named)}, but the query says ${JSON.stringify(id)}`;
  return unprocessable(c, [{ type: "value_error", loc: ["body", "tenant_id"], msg }]);
}

async function decideScope({ store }: Deciding, c: Context<Env>, named: string | undefined): Promise<Response | null> {
  const caller = c.get("caller");
  if (caller.kind === "tenant") {
    const { tenant, id } = caller.tenant;
    if (named && named !== id) return failure(c, 403, NOT_THIS_TENANT);
    c.set("scope", { tenant, id, withTenants: true, by: "tenant" });
    return null;
  }
  if (!named) {
    c.set("scope", { tenant: DEFAULT_TENANT, id: DEFAULT_TENANT, withTenants: false, by: "admin" });
    return null;
  }
  const found = await store.tenants.find(named);
  if (found === null) return unknownTenant(c, named);
  c.set("scope", { tenant: found.tenant, id: found.id, withTenants: true, by: "admin" });
  return null;
}

export function unknownTenant(c: Context<Env>, id: string): Response {
  return failure(c, 404, `Tenant '${id}' not found`);
}

/** Of a call whose rule is `tenant`. */
export function scopeOf(c: Context<Env>): Scope {
  const scope = c.get("scope");
  if (scope === undefined) throw new Error("this call's rule gives it no tenant");
  return scope;
}

/** For the log, which names no tenant where there is only one. */
export function tenantOf({ id }: Pick<Scope, "id">): { tenant?: string } {
  return id === DEFAULT_TENANT ? {} : { tenant: id };
}
