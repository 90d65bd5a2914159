import { TenantGone } from "@async-mail/db/store";
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
type Found = Owner | null | Promise<Owner | null>;

/**
 * Answers the owner of each message of a call: the same object for all messages of one, and mostly without waiting. Its
 * tenant is looked up once.
 */
export function owners(
  deps: Pick<Deps, "store">,
  c: Context<Env>,
  messages: readonly unknown[],
): (raw: unknown) => Owner | Refused | Promise<Owner | Refused> {
  const scope = scopeOf(c);
  const mayChoose = scope.by === "admin" && !scope.withTenants;
  const plain = scope.id === DEFAULT_TENANT && !messages.some(hasFiles);
  const named = new Map<string, Found>();
  let own: Found | undefined;

  function ownOwner(): Found {
    own ??= plain ? plainOwner(scope) : ownerOf(deps, scope);
    return own;
  }

  function ownerNamed(id: string): Found {
    const owner = named.get(id) ?? findOwner(deps, id, true);
    named.set(id, owner);
    return owner;
  }

  return (raw) => {
    const { id, tenant_id: name } = (raw ?? {}) as Record<string, unknown>;
    const refused = (reason: string) => ({ id: typeof id === "string" && id !== "" ? id : null, reason });
    const isNamed = typeof name === "string" && name !== "";
    if (isNamed && !mayChoose && name !== scope.id) return refused("tenant not allowed");
    const owner = isNamed && mayChoose ? ownerNamed(name) : ownOwner();
    return owner instanceof Promise
      ? owner.then((found) => found ?? refused("tenant not found"))
      : (owner ?? refused("tenant not found"));
  };
}

function hasFiles(raw: unknown): boolean {
  return ((raw ?? {}) as Record<string, unknown>).attachments != null;
}

/** Most calls are so: of the tenant `default` without files nothing more is to be known. */
function plainOwner({ tenant, withTenants }: Scope): Owner {
  return { tenant, withTenants, s3Prefixes: null, endpoint: false };
}

/** By what the tenant was when the call began: another of its id may have come since. */
async function ownerOf({ store }: Pick<Deps, "store">, { tenant, withTenants }: Scope): Promise<Owner | null> {
  const sources = await store.tenants.sources(tenant);
  if (sources === null) throw new TenantGone(`the tenant ${tenant} is there no more`);
  const s3Prefixes = tenant === DEFAULT_TENANT ? null : sources.s3Prefixes;
  return { tenant, withTenants, s3Prefixes, endpoint: sources.baseUrl !== null };
}

async function findOwner({ store }: Pick<Deps, "store">, id: string, withTenants: boolean): Promise<Owner | null> {
  const found = await store.tenants.find(id);
  if (found === null) return null;
  const { tenant, clientBaseUrl, s3Prefixes } = found;
  const ownRules = tenant !== DEFAULT_TENANT;
  return { tenant, withTenants, s3Prefixes: ownRules ? s3Prefixes : null, endpoint: clientBaseUrl !== null };
}
