import type { TenantClient } from "@async-mail/db/store";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";

/** For the log, which speaks of `default` where it names no tenant. */
export type Named = { tenant?: string };

export function named({ tenant, id }: Pick<TenantClient, "tenant" | "id">): Named {
  return tenant === DEFAULT_TENANT ? {} : { tenant: id };
}
