import { setTimeout as pause } from "node:timers/promises";
import { eventually } from "../support/eventually.ts";
import type { Service } from "../support/service.ts";
import type { FaultCase } from "./fault-case.ts";
import { FAULTY_SENDER } from "./fault-replies.ts";
import { type FaultServer, startFaultServer } from "./fault-server.ts";
import { differences } from "./judge.ts";
import { type Observed, observe } from "./observe.ts";

export type CaseResult = { observed: Observed; differences: string[] };

/** What the service needs for the cases: a second attempt soon, a third not while anybody looks. */
export const CONFIG = `
[delivery]
retry_delays_seconds = 1,3600
data_reply_timeout_seconds = 12
max_connections = 300
`;

const DEADLINE_MS = 150_000;
/** Between two looks at what has become of a case; a hundred are looked at side by side. */
const LOOK_MS = 400;

/** Plays one fault against a server and an account of its own, and looks until all is as expected, or too late. */
export async function runCase(service: Service, one: FaultCase, index: number): Promise<CaseResult> {
  const server = await startFaultServer(one.server);
  try {
    const ids = { account: `fault-${index}`, faulty: `faulty-${index}`, other: `other-${index}` };
    await putAccount(service, ids.account, server, one);
    await add(service, { id: ids.faulty, account_id: ids.account, from: FAULTY_SENDER, ...one.message });
    // The other comes when the first has had its attempt, so that it is clear which of the two was first.
    const wasReported = () =>
      service.client.calls.some((call) => call.body?.delivery_report.some(({ id }) => id === ids.faulty));
    await eventually(wasReported, DEADLINE_MS, `a report of "${one.name}"`);
    await add(service, { id: ids.other, account_id: ids.account, from: "other@example.com" });
    await mend(service, ids.account, server, one);
    return await lookUntilCalm(service, one, ids, server);
  } finally {
    await server.close();
  }
}

async function lookUntilCalm(
  service: Service,
  one: FaultCase,
  ids: { account: string; faulty: string; other: string },
  server: FaultServer,
): Promise<CaseResult> {
  const startedMs = performance.now();
  for (;;) {
    const observed = await observe(service, ids, server);
    const found = differences(one, observed);
    if (found.length === 0 || performance.now() - startedMs > DEADLINE_MS) return { observed, differences: found };
    await pause(LOOK_MS);
  }
}

async function putAccount(service: Service, id: string, server: FaultServer, { account }: FaultCase): Promise<void> {
  const given = { id, host: "127.0.0.1", port: server.port, security: "none", max_connections: 1, ...account };
  const { status, text } = await service.api.post("/account", given);
  if (status !== 200) throw new Error(`POST /account answered ${status} ${text}`);
}

async function add(service: Service, message: { id: string } & Record<string, unknown>): Promise<void> {
  const { status, text } = await service.api.addMessages({
    to: "someone@example.org",
    subject: message.id,
    body: "What will become of this?",
    ...message,
  });
  if (status !== 200) throw new Error(`POST /commands/add-messages answered ${status} ${text}`);
}

async function mend(service: Service, id: string, server: FaultServer, one: FaultCase): Promise<void> {
  switch (one.mended) {
    case "listens":
      return await server.listen();
    case "new password":
      return await putAccount(service, id, server, { ...one, account: { ...one.account, password: "the right one" } });
    case "verified": {
      const { status, text } = await service.api.post(`/account/${id}/verify`);
      if (status !== 200) throw new Error(`verify answered ${status} ${text}`);
    }
  }
}
