import { setTimeout as pause } from "node:timers/promises";
import type { Answer } from "../support/api-client.ts";
import { apiClient } from "../support/api-client.ts";
import { TOKEN } from "./settings.ts";

/** A record as GET /messages/{id} shows it. */
export type MessageRecord = {
  id: string;
  status: "pending" | "deferred" | "sent" | "error";
  account_id?: string;
  priority: number;
  deferred_ts?: number;
  deferred_reason?: string;
  waiting?: { reason: string; until?: string };
  sent_ts?: number;
  error_ts?: number;
  error?: string;
  reported_ts?: number;
  updated_at: string;
  attempts: number;
  message_id: string;
  recipients: { address: string; outcome: "accepted" | "refused" | "waiting"; code?: number; response?: string }[];
  history?: { at: string; claim: number; outcome: string; code?: number; response?: string }[];
};

export type ServiceClient = {
  /** Null: 404. */
  record(id: string): Promise<MessageRecord | null>;
  /** All that are stored, without their history. */
  records(): Promise<MessageRecord[]>;
  post(path: string, body?: object): Promise<void>;
  accounts(): Promise<{ id: string; state: string; slowed?: object }[]>;
  pending(): Promise<number>;
};

/** A restart of the API, and the longest stop, take less. */
const DEADLINE_MS = 60_000;

/** Asks until the API answers: it may just have been killed, or stand still. */
export function serviceClient(url: string): ServiceClient {
  const api = apiClient(url, TOKEN);

  async function insist(ask: () => Promise<Answer>): Promise<Answer> {
    const startedAt = performance.now();
    for (;;) {
      const answer = await ask().catch((error: unknown) => ({ status: 0, text: String(error) }) as Answer);
      if (answer.status !== 0 && answer.status !== 503) return answer;
      if (performance.now() - startedAt > DEADLINE_MS) throw new Error(`the API does not answer: ${answer.text}`);
      await pause(50);
    }
  }

  async function ok(ask: () => Promise<Answer>) {
    const answer = await insist(ask);
    if (answer.status !== 200) throw new Error(`the API answered ${answer.status}: ${answer.text}`);
    return answer.body;
  }

  return {
    async record(id) {
      const answer = await insist(() => api.get(`/messages/${id}`));
      return answer.status === 404 ? null : answer.body;
    },
    async records() {
      const all: MessageRecord[] = [];
      let cursor = "";
      do {
        const page = await ok(() => api.get(`/messages?limit=1000${cursor && `&cursor=${cursor}`}`));
        all.push(...page.messages);
        cursor = page.next_cursor === undefined ? "" : encodeURIComponent(page.next_cursor);
      } while (cursor !== "");
      return all;
    },
    post: async (path, body) => void (await ok(() => api.post(path, body))),
    accounts: async () => (await ok(() => api.get("/accounts"))).accounts,
    pending: async () => (await ok(() => api.get("/status"))).pending_messages,
  };
}
