import type { TenantClient } from "@async-mail/db/store";
import { authorizationOf, type ClientAuth, clientUrl, DEFAULT_TENANT } from "@async-mail/domain/tenant";
import type { Config } from "@async-mail/runtime/config";

/** Where a client is called, and how. */
export type Endpoint = {
  url: string;
  /** A header, sent with the first request; null: none. */
  authorization: string | null;
  /** `whsec_…`, or two of them, comma separated. */
  signingSecret: string | null;
  /** `status`: any 2xx acknowledges. */
  acknowledge: "body" | "status";
  /** The configuration's own host may have any address, a tenant's none that is link-local or a cloud's for its secrets. */
  anyAddress: boolean;
};

export type SyncSettings = Pick<
  Config["sync"],
  "proxySyncUrl" | "proxySyncUser" | "proxySyncPassword" | "proxySyncToken" | "signingSecret" | "acknowledge"
>;

/** The configuration's, which is the tenant `default`'s; null: none. */
export function configuredEndpoint(sync: SyncSettings): Endpoint | null {
  const { proxySyncUrl: url, signingSecret, acknowledge } = sync;
  if (url === null) return null;
  return { url, authorization: authorizationOf(configuredAuth(sync)), signingSecret, acknowledge, anyAddress: true };
}

/** The token wins over user and password. */
function configuredAuth({
  proxySyncToken: token,
  proxySyncUser: user,
  proxySyncPassword: password,
}: SyncSettings): ClientAuth {
  if (token !== null) return { method: "bearer", token };
  if (user !== null || password !== null) return { method: "basic", user: user ?? "", password: password ?? "" };
  return { method: "none" };
}

/** A tenant's, by what is stored of it and what the configuration has for `default`; null: it has no client. */
export function endpointOf(client: TenantClient, configured: Endpoint | null): Endpoint | null {
  if (client.baseUrl === null) return hasClient(client, configured !== null) ? configured : null;
  const url = clientUrl(client.baseUrl, client.syncPath);
  if (url === null) return null;
  const authorization = authorizationOf(client.auth);
  return { url, authorization, signingSecret: null, acknowledge: "body", anyAddress: false };
}

/** `configured`: the configuration names a client. */
export function hasClient({ tenant, baseUrl }: Pick<TenantClient, "tenant" | "baseUrl">, configured: boolean): boolean {
  return baseUrl !== null || (tenant === DEFAULT_TENANT && configured);
}

export function sameEndpoint(one: TenantClient, other: TenantClient): boolean {
  return (
    one.baseUrl === other.baseUrl &&
    one.syncPath === other.syncPath &&
    authorizationOf(one.auth) === authorizationOf(other.auth)
  );
}
