import type { ClientState, TenantClient } from "@async-mail/db/store";
import { secretsOfLogin } from "@async-mail/domain/tenant";
import type { Client } from "./client.ts";
import { type Endpoint, endpointOf } from "./endpoint.ts";
import { type Named, named } from "./named.ts";
import { freshPace, mayCallAtMs, type Pace } from "./pace.ts";
import { type FollowUp, nextPollMs, type PollFacts } from "./poll.ts";

/** What a reporter knows of its conversation with one tenant's client, from one pass to the next. */
export type Session = {
  tenant: string;
  named: Named;
  /** The tenant as it was when the session began: another endpoint or login is another session. */
  begunWith: TenantClient;
  client: Client;
  acknowledge: Endpoint["acknowledge"];
  /** One client, as it sees itself: a deleted tenant and the one made again under its id have the same. */
  application: string;
  /** That its own words may repeat. */
  secrets: string[];
  /** What the store remembers of the client; null: to be read, since another may have led meanwhile. */
  remembered: ClientState | null;
  pace: Pace;
  followUp: FollowUp | null;
  /** Keys of messages whose report failed alone: they are posted alone, so that they fail no other's. */
  aside: Set<number>;
  /** The last call was for one of those: the next is for the others. */
  lastWasAside: boolean;
  /** As it was before the last call: a later run-now ends a back-off. */
  runNowCount: number;
  /** Aborted when the lead is lost: the next leader calls too. */
  lost: AbortSignal;
  /** Its pass, while one runs: never two calls at once to one client. */
  underWay: Promise<void> | null;
};

/** What one look at all tenants tells of one of them. */
export type Look = Pick<PollFacts, "active" | "intervalMs" | "runNowCount"> & {
  /** Steady ms; null: no report waits. */
  nextReportMs: number | null;
  /** Most reports it may post now. */
  most: number;
};

export type SessionOptions = {
  /** The configuration's own endpoint, which `default` has unless it has one of its own. */
  configured: Endpoint | null;
  connect(endpoint: Endpoint): Client;
  batchSize: number;
};

/** Null: the tenant has no client. */
export function openSession(options: SessionOptions, tenant: TenantClient, lost: AbortSignal): Session | null {
  const endpoint = endpointOf(tenant, options.configured);
  if (endpoint === null) return null;
  return {
    tenant: tenant.tenant,
    named: named(tenant),
    begunWith: tenant,
    client: options.connect(endpoint),
    acknowledge: endpoint.acknowledge,
    application: JSON.stringify([tenant.id, endpoint.url]),
    secrets: secretsOfLogin(endpoint.authorization),
    remembered: null,
    pace: freshPace(options.batchSize),
    followUp: null,
    aside: new Set(),
    lastWasAside: false,
    runNowCount: 0,
    lost,
    underWay: null,
  };
}

/** Steady ms at which the client is to be called if nothing changes; a past moment: now. Infinity: not as things are. */
export function nextCallMs({ remembered, pace, followUp, runNowCount }: Session, look: Look): number {
  const mayMs = mayCallAtMs(pace, look.runNowCount > runNowCount);
  if (remembered === null) return mayMs;
  const pollMs = nextPollMs({ ...look, client: remembered, followUp }) ?? Number.POSITIVE_INFINITY;
  return Math.max(mayMs, Math.min(look.nextReportMs ?? Number.POSITIVE_INFINITY, pollMs));
}
