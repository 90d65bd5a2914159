import type { Service } from "../support/service.ts";
import type { ReportItem } from "../support/sync-client.ts";
import { FAULTY_SENDER } from "./fault-replies.ts";
import type { FaultServer } from "./fault-server.ts";
import type { Transaction } from "./fault-session.ts";

type History = { at: string; outcome: string; response?: string; until?: string }[];

/** A message as GET /messages/{id} shows it, of which only so much matters here. */
export type SeenMessage = {
  status: string;
  deferred_ts?: number;
  deferred_reason?: string;
  waiting?: { reason: string; until?: string };
  error?: string;
  reported_ts?: number;
  attempts: number;
  recipients: { address: string; outcome: string; code?: number; response?: string }[];
  history: History;
};

/** All that a person, the client and the server saw of one case. */
export type Observed = {
  faulty: SeenMessage;
  other: SeenMessage;
  account: { state: string; reason?: string; until?: string };
  /** Of the faulty message, and of the other, in the order of the POSTs. */
  reports: { faulty: ReportItem[]; other: ReportItem[] };
  /** Of the faulty message, and of the other. */
  transactions: { faulty: Transaction[]; other: Transaction[] };
  /** Whose each transaction was, in order. */
  senders: ("faulty" | "other")[];
  commands: string[];
};

export async function observe(
  { api, client }: Service,
  ids: { account: string; faulty: string; other: string },
  server: FaultServer,
): Promise<Observed> {
  // In this order: what was reported, or taken, is never newer than the record that is read after it.
  const all = client.calls.flatMap((call) => call.body?.delivery_report ?? []);
  const transactions = structuredClone(server.transactions);
  const account = await api.get(`/account/${ids.account}`);
  const faulty = await api.get(`/messages/${ids.faulty}`);
  const other = await api.get(`/messages/${ids.other}`);
  const isFaulty = ({ sender }: Transaction) => sender === FAULTY_SENDER;
  return {
    faulty: faulty.body,
    other: other.body,
    account: account.body,
    reports: { faulty: all.filter(({ id }) => id === ids.faulty), other: all.filter(({ id }) => id === ids.other) },
    transactions: {
      faulty: transactions.filter(isFaulty),
      other: transactions.filter((one) => !isFaulty(one)),
    },
    senders: transactions.map((one) => (isFaulty(one) ? "faulty" : "other")),
    commands: [...server.commands],
  };
}
