import { isIP } from "node:net";
import type { Account, FieldIssue } from "@async-mail/domain/account";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import type { Config } from "@async-mail/runtime/config";
import { anyButLinkLocal } from "@async-mail/runtime/egress";
import { createHostList } from "@async-mail/runtime/host-list";
import type { Scope } from "./scope.ts";

/**
 * Where a tenant's account may not send, as far as its host says so by itself; the dispatcher looks at the address that
 * it really connects to. The tenant `default` is the operator's own. Null: nothing is wrong.
 */
export function faultOfHost(
  { smtp }: Pick<Config, "smtp">,
  { tenant }: Scope,
  { host }: Pick<Account, "host">,
): FieldIssue | null {
  if (tenant === DEFAULT_TENANT) return null;
  const fault = (msg: string): FieldIssue => ({ type: "value_error", loc: ["host"], msg });
  const isAddress = isIP(host) !== 0;
  const forbidden = isAddress ? anyButLinkLocal(host, host) : null;
  if (forbidden !== null) return fault(`is not allowed: ${forbidden}`);
  if (smtp.tenantHosts.length === 0) return null;
  const allowed = createHostList(smtp.tenantHosts);
  if (allowed.names(host) || (isAddress && allowed.holds(host))) return null;
  // A name may lead to an address in an allowed network.
  if (!isAddress && smtp.tenantHosts.some((entry) => isIP(entry.split("/")[0]!) !== 0)) return null;
  return fault("is not allowed by the operator");
}
