import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import type { Context } from "hono";
import type { Deps, Env } from "./deps.ts";
import { type Scope, scopeOf } from "./scope.ts";

/** Whose one message of a call is, and what its attachments may name. */
export type Owner = Pick<Scope, "tenant" | "withTenants"> & {
  /** Null: what the service itself allows. */
  s3Prefixes: readonly string[] | null;
  /** It has a client that can be asked for files. */
  endpoint: boolean;
};

type Refused = { id: string | null; reason: string };

/** Answers the owner of each message of a call. */
export function owners(deps: Pick<Deps, "store">, c: Context<Env>): (raw: unknown) => Promise<Owner | Refused> {
  const scope = scopeOf(c);
  const known = new Map<string, Promise<Owner | null>>();
  const mayChoose = scope.by === "admin" && !scope.withTenants;

  async function ownerOf(id: string, withTenants: boolean, hasFiles: boolean): Promise<Owner | null> {
    // Most calls are so, and need not know more.
    if (id === DEFAULT_TENANT && !hasFiles)
      return { tenant: DEFAULT_TENANT, withTenants, s3Prefixes: null, endpoint: false };
    const name = JSON.stringify([id, withTenants]);
    const owner = known.get(name) ?? findOwner(deps, id, withTenants);
    known.set(name, owner);
    return owner;
  }

  return async (raw) => {
    const { id, tenant_id: named, attachments } = (raw ?? {}) as Record<string, unknown>;
    const refused = (reason: string) => ({ id: typeof id === "string" && id !== "" ? id : null, reason });
    const isNamed = typeof named === "string" && named !== "";
    if (isNamed && !mayChoose && named !== scope.id) return refused("tenant not allowed");
    const owner = await ownerOf(isNamed ? named : scope.id, scope.withTenants || isNamed, attachments != null);
    return owner ?? refused("tenant not found");
  };
}

async function findOwner({ store }: Pick<Deps, "store">, id: string, withTenants: boolean): Promise<Owner | null> {
  const found = await store.tenants.find(id);
  if (found === null) return null;
  const { tenant, clientBaseUrl, s3Prefixes } = found;
  const ownRules = tenant !== DEFAULT_TENANT;
  return { tenant, withTenants, s3Prefixes: ownRules ? s3Prefixes : null, endpoint: clientBaseUrl !== null };
}
