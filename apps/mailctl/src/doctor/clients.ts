import type { Inspection } from "@async-mail/db/sqlite/inspect";
import type { SyncStatus } from "@async-mail/db/store";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import type { Config } from "@async-mail/runtime/config";
import { tryConnect } from "./connect.ts";
import { type Finding, note, ok, problem } from "./finding.ts";
import { sideBySide } from "./side-by-side.ts";

type Client = { tenant: string; url: string };

/**
 * Where reports go. It is only connected to: a POST would be taken for a poll, and answered with mail. What the reporter's
 * last call met tells the rest.
 */
export async function checkClients(
  { tenants }: Pick<Inspection, "tenants">,
  { sync, sandbox }: Config,
  now: { wallMs: number; steadyMs: number },
  timeoutMs: number,
): Promise<Finding[]> {
  const all = await tenants.list();
  const standings = new Map((await tenants.syncStatus(now)).map((one) => [one.id, one]));
  const clients = all.flatMap(({ id, clientBaseUrl }): Client[] => {
    const url = clientBaseUrl ?? (id === DEFAULT_TENANT ? sync.proxySyncUrl : null);
    return url === null ? [] : [{ tenant: id, url }];
  });
  if (clients.length === 0)
    return sandbox ? [] : [note("client", "no client is configured (sync.proxy_sync_url): nothing is reported")];
  return (await sideBySide(clients, (one) => checkClient(one, standings.get(one.tenant), timeoutMs))).flat();
}

async function checkClient(
  { tenant, url }: Client,
  standing: SyncStatus | undefined,
  timeoutMs: number,
): Promise<Finding[]> {
  const { protocol, hostname, port } = new URL(url);
  const tls = protocol === "https:";
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const failure = await tryConnect({ host, port: Number(port) || (tls ? 443 : 80), tls }, timeoutMs);
  const name = tenant === DEFAULT_TENANT ? url : `${tenant}: ${url}`;
  const waiting = standing?.reportsWaiting ? `; ${standing.reportsWaiting} reports wait` : "";
  if (failure !== null)
    return [
      problem(
        "client",
        `${name}: ${failure.step}: ${failure.text}${waiting}`,
        "see that the application runs, and that its address is right (sync.proxy_sync_url, or the tenant's client_base_url)",
      ),
    ];
  const outcome = standing?.outcome ?? null;
  if (outcome !== null && outcome !== "ok")
    return [
      problem(
        "client",
        `${name}: it did not acknowledge the last call: ${outcome}${waiting}`,
        "look at the application's own log; a 401 or 403 is about the login (sync.proxy_sync_user, _password, _token)",
      ),
    ];
  return [
    ok("client", `${name} takes connections${outcome === "ok" ? ", and acknowledged the last call" : ""}${waiting}`),
  ];
}
