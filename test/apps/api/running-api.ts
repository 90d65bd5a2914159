import { join } from "node:path";
import type { Claim } from "@async-mail/db/store";
import type { Outcome } from "@async-mail/domain/outcome";
import { bootReading, type Clock, createClock } from "@async-mail/runtime/clock";
import { type ApiClient, apiClient } from "../../support/api-client.ts";
import { openedAt, type StoreOfDefault } from "../../support/database.ts";
import { type Proc, type ProcessOptions, startProcess } from "../../support/processes.ts";

/** The real api process, and the file it works on as another process would see it. */
export type RunningApi = {
  proc: Proc;
  url: string;
  api: ApiClient;
  store: StoreOfDefault;
  clock: Clock;
  /** Claims what is due and writes `outcome` for the message `id`; what else was claimed is given back. */
  settle(id: string, outcome: Outcome): Promise<void>;
  /** Claims what is due, as a dispatcher would; its mail counts as being sent. */
  claim(): Promise<Claim[]>;
  stop(): Promise<void>;
};

/** By default with an account `default`, so that a message needs no `account_id`. */
export async function startApi(options: ProcessOptions = {}): Promise<RunningApi> {
  const env = { SMTP_HOST: "127.0.0.1", SMTP_PORT: "2525", ...options.env };
  const proc = await startProcess("api", { ...options, env });
  const url = await proc.listening();
  const path = join(proc.folder, "mail.db");
  const store = await openedAt(path, bootReading());
  const clock = createClock(store.steadyOffsetMs);
  const self = { kind: "dispatcher" as const, pid: process.pid, host: "test", version: "0" };
  let dispatcher: number | undefined;

  async function claim(): Promise<Claim[]> {
    dispatcher ??= await store.processes.register(self, clock.now());
    const request = {
      process: dispatcher,
      slots: 1000,
      capacity: 1000,
      bytes: 1e9,
      held: new Map(),
      maxConnectionsPerAccount: 1000,
    };
    const answer = await store.queue.claimDue(request, clock.now());
    return answer.kind === "claimed" ? answer.claims : [];
  }

  return {
    proc,
    url,
    api: apiClient(url),
    store,
    clock,
    claim,
    settle: async (id, outcome) => {
      const claims = await claim();
      if (!claims.some((one) => one.id === id)) throw new Error(`${id} is not due`);
      const givenBack: Outcome = { kind: "given_back", reason: "not asked for", mailFromSent: false };
      for (const one of claims) await store.queue.settle(one, one.id === id ? outcome : givenBack, clock.now());
    },
    stop: async () => {
      await proc.stop();
      await store.close();
    },
  };
}

export const SENT: Outcome = {
  kind: "sent",
  code: 250,
  response: "250 2.0.0 queued as 4711",
  recipients: [{ address: "recipient@example.org", outcome: "accepted", code: 250, response: "250 2.1.5 ok" }],
  mailFromSent: true,
};

export const REFUSED: Outcome = {
  kind: "error",
  error: "550 5.1.1 no such user",
  code: 550,
  response: "550 5.1.1 no such user",
  recipients: [{ address: "recipient@example.org", outcome: "refused", code: 550, response: "550 5.1.1 no such user" }],
  mailFromSent: true,
};
