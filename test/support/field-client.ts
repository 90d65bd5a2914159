import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * The client that an application framework has in production, written from the description of what it sends, reads and
 * tolerates: an outbox in its own database, and an endpoint that takes reports and hands waiting mail over from inside.
 */

export type Mail = { id: string; [field: string]: unknown };

/** waiting: not handed over. handed: the service has it. */
type Kept = { mail: Mail; state: "waiting" | "handed" | "sent" | "failed"; error: string | null; resent: number };

export type FieldClient = {
  tenant: string;
  outbox: Map<string, Kept>;
  /** Of its endpoint. */
  url: string;
  /** POSTs that its endpoint got, with the ids of their items. */
  calls: { ids: string[]; answered: unknown }[];
  /** Files that its attachment endpoint has. */
  files: Map<string, Buffer>;
  /** What its endpoint asks for. */
  password: string;
  /** Answers this instead of working, while it is there. */
  refuseWith: { status: number; body: string } | null;
  /** It reads `api_key` by index: without one it breaks. */
  register(): Promise<void>;
  unregister(): Promise<number>;
  addAccount(account: object): Promise<void>;
  /** As a user's commit: mail is kept, then the service is told; an exception reaches the user. */
  commit(...mails: Mail[]): Promise<void>;
  runNow(): Promise<void>;
  /** With its own key, as all but registering. */
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into answers freely, and fails where they are otherwise.
  ask(method: string, path: string, body?: object): Promise<{ status: number; body: any }>;
  states(): Record<string, string>;
  close(): Promise<void>;
};

const CALL_MS = 10_000;
const MOST_AT_ONCE = 1000;
const MOST_RESENDS = 5;

export async function startFieldClient(options: {
  service: string;
  adminToken: string;
  tenant: string;
}): Promise<FieldClient> {
  const { service, adminToken, tenant } = options;
  const outbox = new Map<string, Kept>();
  let key = "";

  async function call(method: string, path: string, token: string, body?: object, withinMs = CALL_MS) {
    const response = await fetch(new URL(path, service), {
      method,
      headers: { "x-api-token": token, ...(body && { "content-type": "application/json" }) },
      signal: AbortSignal.timeout(withinMs),
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : {} };
  }

  /** Hands over what waits; answers how many the service took. */
  async function push(): Promise<number> {
    const batch = [...outbox.values()].filter(({ state }) => state === "waiting").slice(0, MOST_AT_ONCE);
    if (batch.length === 0) return 0;
    const messages = batch.map(({ mail }) => ({ ...mail, tenant_id: tenant }));
    const withinMs = Math.min(CALL_MS + 50 * batch.length, 60_000);
    const answer = await call("POST", "/commands/add-messages", key, { messages }, withinMs).catch(() => null);
    return answer === null ? 0 : take(batch, answer);
  }

  function take(batch: Kept[], { status, body }: { status: number; body: Record<string, unknown> }): number {
    const fine = status >= 200 && status < 300;
    if (!fine && !("rejected" in body)) return 0; // a fault of the transport: the same batch again at the next poll
    if (body.error) {
      for (const one of batch) fail(one, String(body.error));
      return 0;
    }
    const rejected = new Map((body.rejected as { id: string; reason: string }[]).map((one) => [one.id, one.reason]));
    for (const one of batch) {
      const reason = rejected.get(one.mail.id);
      if (reason === undefined) one.state = "handed";
      else fail(one, reason);
    }
    return Number(body.queued);
  }

  function fail(one: Kept, error: string): void {
    const again = error.startsWith("Attachment fetch failed") && one.resent < MOST_RESENDS;
    one.state = again ? "waiting" : "failed";
    one.resent += again ? 1 : 0;
    one.error = error;
  }

  type Item = { id: string; sent_ts: number | null; error_ts: number | null; error: string | null };

  async function proxySync(body: { delivery_report: Item[] }): Promise<object> {
    const items = new Map(body.delivery_report.map((item) => [item.id, item])); // the last of several
    const notFound: string[] = [];
    for (const { id, sent_ts, error_ts, error } of items.values()) {
      const one = outbox.get(id);
      if (one === undefined) notFound.push(id);
      else if (sent_ts) Object.assign(one, { state: "sent", error: null });
      else if (error_ts) fail(one, error ?? "");
    }
    const queued = await push();
    return notFound.length > 0 ? { error: [], not_found: notFound, queued } : { ok: true, queued };
  }

  const server = createServer(async (request, response) => {
    const body = await bodyOf(request);
    const isCalled = request.headers.authorization === `Basic ${btoa(`app:${client.password}`)}`;
    const answer = (status: number, text: string | Buffer) => end(response, status, text);
    if (request.url === "/proxy_get_attachments") {
      const file = client.files.get(String(JSON.parse(body).storage_path));
      if (!isCalled) answer(200, JSON.stringify({ error: "wrong login" }));
      else answer(file ? 200 : 404, file ?? "");
      return;
    }
    const { delivery_report } = JSON.parse(body) as { delivery_report: Item[] };
    const told = { ids: delivery_report.map(({ id }) => id), answered: null as unknown };
    client.calls.push(told);
    if (client.refuseWith !== null) return answer(client.refuseWith.status, client.refuseWith.body);
    told.answered = isCalled ? await proxySync({ delivery_report }) : { error: "wrong login" };
    answer(200, JSON.stringify(told.answered));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  const client: FieldClient = {
    tenant,
    outbox,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: [],
    files: new Map(),
    password: "of the application",
    refuseWith: null,
    async register() {
      const client_auth = { method: "basic", user: "app", password: client.password };
      const { body } = await call("POST", "/tenant", adminToken, {
        id: tenant,
        name: tenant,
        client_base_url: client.url,
        client_auth,
        active: true,
      });
      if (!("api_key" in body)) throw new Error(`KeyError: 'api_key' in ${JSON.stringify(body)}`);
      key = body.api_key as string;
    },
    unregister: async () => (await call("DELETE", `/tenant/${tenant}`, adminToken)).status,
    async addAccount(account) {
      const { status, body } = await call("POST", "/account", key, { ...account, tenant_id: tenant });
      if (status !== 200) throw new Error(`account: ${status} ${JSON.stringify(body)}`);
    },
    async commit(...mails) {
      for (const mail of mails) outbox.set(mail.id, { mail, state: "waiting", error: null, resent: 0 });
      await client.runNow();
    },
    async runNow() {
      const { status } = await call("POST", "/commands/run-now", key);
      if (status !== 200) throw new Error(`run-now: ${status}`);
    },
    ask: (method, path, body) => call(method, path, key, body),
    states: () => Object.fromEntries([...outbox].map(([id, { state }]) => [id, state])),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return client;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) body += chunk;
  return body;
}

function end(response: ServerResponse, status: number, text: string | Buffer): void {
  response.writeHead(status, { "content-type": "application/json" }).end(text);
}
