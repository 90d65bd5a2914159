import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/**
 * The client that an application framework has in production, written from the description of what it sends, reads and
 * tolerates (tenants §2 to §4): an outbox of its own, and an endpoint that takes reports and hands waiting mail over
 * from inside that call.
 */

export type Mail = { id: string; [field: string]: unknown };

/** waiting: to be handed over. handed: the service has taken it. */
export type Kept = {
  mail: Mail;
  state: "waiting" | "handed" | "sent" | "failed";
  error: string | null;
  resends: number;
};

/** What it reads of a record. */
export type Row = {
  id: string;
  account_id: string | undefined;
  priority: number;
  to: unknown;
  subject: string;
  created_at: string;
  deferred_ts: number | undefined;
  sent_ts: number | undefined;
  error_ts: number | undefined;
  reported_ts: number | undefined;
  error: string | undefined;
  retry_count: number;
};

// biome-ignore lint/suspicious/noExplicitAny: a test looks into answers freely, and fails where they are otherwise.
export type Reply = { status: number; body: any };

/** One POST of reports. */
export type Post = { ids: string[]; authorization: string | undefined; status: number; answer: unknown };

/** One call of add-messages; no status: there was no answer. */
export type Batch = { ids: string[]; status: number | null; body: Reply["body"] };

export type FieldClientOptions = {
  /** Of the REST API. */
  service: string;
  tenant: string;
  adminToken?: string;
};

export type FieldClient = {
  readonly tenant: string;
  /** As it has it now. */
  readonly key: string;
  readonly outbox: Map<string, Kept>;
  readonly posts: Post[];
  readonly batches: Batch[];
  /** POSTs of reports under way now, and at most. */
  readonly open: { now: number; max: number };
  /** What it stumbled over; its endpoint answers 500 then. */
  readonly crashes: unknown[];
  /** What its endpoint asks for. A failed login is answered with 200. */
  login: { user: string; password: string };
  /** Statuses of the next POSTs that bring reports, in place of work. */
  readonly refusals: number[];
  /** By path: the bytes, or a status. What is not here is 404. */
  readonly files: Map<string, string | number>;
  readonly fileRequests: { body: string; authorization: string | undefined }[];
  /** Called from inside the call that brings reports, before the batch that waits is handed over, and after its answer. */
  around: { before(): unknown; after(): unknown } | null;

  /** 2xx within 5 s, without token. */
  isReachable(): Promise<boolean>;
  register(): Promise<void>;
  unregister(): Promise<Reply>;
  addAccount(fields: Record<string, unknown>): Promise<Reply>;
  /** A user's commit: mail is kept, and the service told. Throws where the user would see an exception. */
  commit(...mails: Mail[]): Promise<void>;
  /** Kept, to be handed over at the next poll. */
  keep(...mails: Mail[]): void;
  runNow(): Promise<void>;
  rows(status?: "pending" | "deferred" | "sent" | "error"): Promise<Row[]>;
  suspend(batchCode?: string): Promise<Reply>;
  activate(batchCode?: string): Promise<Reply>;
  /** With its key, within 10 s; throws when there is no answer. */
  call(method: string, path: string, body?: object, token?: string | null): Promise<Reply>;
  /** Of those ids, or of all. */
  states(...ids: string[]): Kept["state"][];
  close(): Promise<void>;
};

const CALL_MS = 10_000;
const HEALTH_MS = 5_000;
const PER_MESSAGE_MS = 50;
const LONGEST_BATCH_MS = 60_000;
const MOST_AT_ONCE = 1000;
const MOST_RESENDS = 5;

type Item = { id: string; sent_ts: number | null; error_ts: number | null; error: string | null };

export async function startFieldClient(options: FieldClientOptions): Promise<FieldClient> {
  const { service, tenant, adminToken = "test-token" } = options;
  const outbox = new Map<string, Kept>();
  let key = "";

  async function call(method: string, path: string, body?: object, token: string | null = key, withinMs = CALL_MS) {
    const response = await fetch(new URL(path, service), {
      method,
      headers: {
        ...(token !== null && { "x-api-token": token }),
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      signal: AbortSignal.timeout(withinMs),
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: parsed(await response.text()) } as Reply;
  }

  /** From inside the call that brings reports. Answers how many the service has taken. */
  async function handOver(): Promise<number> {
    const batch = [...outbox.values()].filter(({ state }) => state === "waiting").slice(0, MOST_AT_ONCE);
    if (batch.length === 0) return 0;
    await client.around?.before();
    const messages = batch.map(({ mail }) => ({ ...mail, tenant_id: tenant }));
    const withinMs = Math.min(CALL_MS + PER_MESSAGE_MS * batch.length, LONGEST_BATCH_MS);
    const reply = await call("POST", "/commands/add-messages", { messages }, key, withinMs).catch(() => null);
    client.batches.push({
      ids: batch.map(({ mail }) => mail.id),
      status: reply?.status ?? null,
      body: reply?.body ?? null,
    });
    await client.around?.after();
    return reply === null ? 0 : takeReply(batch, reply);
  }

  function takeReply(batch: Kept[], { status, body }: Reply): number {
    const fine = status >= 200 && status < 300;
    const verdict: Record<string, unknown> = typeof body === "object" && body !== null ? body : {};
    // A fault of the transport: the whole batch goes again at the next poll.
    if (!fine && !("rejected" in verdict)) return 0;
    const isError = Boolean(verdict.error);
    for (const one of batch) {
      one.state = isError ? "failed" : "handed";
      if (isError) one.error = String(verdict.error);
    }
    for (const { id, reason } of (verdict.rejected ?? []) as { id: string; reason: string }[]) {
      const one = outbox.get(id);
      if (one !== undefined) Object.assign(one, { state: "failed", error: reason });
    }
    return Number(verdict.queued ?? 0);
  }

  function takeItem(one: Kept, { sent_ts, error_ts, error }: Item): void {
    if (sent_ts) Object.assign(one, { state: "sent", error: null });
    else if (error_ts) {
      const again = (error ?? "").startsWith("Attachment fetch failed") && one.resends < MOST_RESENDS;
      if (again) one.resends += 1;
      Object.assign(one, { state: again ? "waiting" : "failed", error });
    }
  }

  async function proxySync(items: Item[]): Promise<object> {
    // Of several of one id it keeps the last.
    const latest = new Map(items.map((item) => [item.id, item]));
    const unknown = [...latest.keys()].filter((id) => !outbox.has(id));
    const failed = [...latest.values()].filter(({ id, error_ts }) => error_ts && outbox.has(id)).map(({ id }) => id);
    for (const item of latest.values()) {
      const one = outbox.get(item.id);
      if (one !== undefined) takeItem(one, item);
    }
    const queued = await handOver();
    const isPlain = unknown.length + failed.length === 0;
    return isPlain ? { ok: true, queued } : { error: failed, not_found: unknown, queued };
  }

  const answerTo = async (path: string, body: string, authorization: string | undefined) => {
    const { user, password } = client.login;
    const isKnown = authorization === `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
    if (path === "/proxy_get_attachments") {
      client.fileRequests.push({ body, authorization });
      if (!isKnown) return { status: 200, answer: { error: "User not allowed" } };
      const file = client.files.get(JSON.parse(body).storage_path) ?? 404;
      return typeof file === "number" ? { status: file, answer: "" } : { status: 200, answer: file };
    }
    if (path !== "/proxy_sync") return { status: 404, answer: "" };
    const items: Item[] = JSON.parse(body).delivery_report;
    const post: Post = { ids: items.map(({ id }) => id), authorization, status: 200, answer: undefined };
    client.posts.push(post);
    const refusal = items.length > 0 ? client.refusals.shift() : undefined;
    if (refusal !== undefined) Object.assign(post, { status: refusal, answer: { error: `${refusal}`, rejected: [] } });
    else post.answer = isKnown ? await proxySync(items) : { error: "User not allowed" };
    return post;
  };

  const server = createServer(async (request, response) => {
    const { url = "", headers } = request;
    const isReport = url === "/proxy_sync";
    if (isReport) client.open.max = Math.max(client.open.max, ++client.open.now);
    response.on("close", () => {
      if (isReport) client.open.now -= 1;
    });
    try {
      const { status, answer } = await answerTo(url, await text(request), headers.authorization);
      const isFile = typeof answer === "string";
      response.writeHead(status, { "content-type": isFile ? "application/octet-stream" : "application/json" });
      response.end(isFile ? answer : JSON.stringify(answer));
    } catch (error) {
      client.crashes.push(error);
      response.writeHead(500, { "content-type": "text/html" }).end("<h1>Internal Server Error</h1>");
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const client: FieldClient = {
    tenant,
    get key() {
      return key;
    },
    outbox,
    posts: [],
    batches: [],
    open: { now: 0, max: 0 },
    crashes: [],
    login: { user: "mailproxy", password: "of the application: ü" },
    refusals: [],
    files: new Map(),
    fileRequests: [],
    around: null,
    isReachable: () =>
      call("GET", "/health", undefined, null, HEALTH_MS).then(
        ({ status }) => status >= 200 && status < 300,
        () => false,
      ),
    async register() {
      const client_auth = { method: "basic", ...client.login };
      const tenantFields = { id: tenant, name: tenant, client_base_url: url, client_auth, active: true };
      const { body } = await call("POST", "/tenant", tenantFields, adminToken);
      if (!("api_key" in body)) throw new Error(`KeyError: 'api_key' in ${JSON.stringify(body)}`);
      key = body.api_key;
    },
    unregister: () => call("DELETE", `/tenant/${tenant}`, undefined, adminToken),
    addAccount: (fields) => call("POST", "/account", { ...withoutEmpty(fields), tenant_id: tenant }),
    async commit(...mails) {
      client.keep(...mails);
      await client.runNow();
    },
    keep(...mails) {
      for (const mail of mails) outbox.set(mail.id, { mail, state: "waiting", error: null, resends: 0 });
    },
    async runNow() {
      const { status, body } = await call("POST", "/commands/run-now");
      if (status < 200 || status >= 300) throw new Error(`run-now: ${status} ${JSON.stringify(body)}`);
    },
    async rows(status) {
      const { body } = await call("GET", `/messages?tenant_id=${tenant}${status ? `&status=${status}` : ""}`);
      return body.messages.map(toRow);
    },
    suspend: (batchCode) => call("POST", `/commands/suspend?${switched(tenant, batchCode)}`),
    activate: (batchCode) => call("POST", `/commands/activate?${switched(tenant, batchCode)}`),
    call,
    states: (...ids) =>
      (ids.length > 0 ? ids.map((id) => outbox.get(id)!) : [...outbox.values()]).map((one) => one.state),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return client;
}

function switched(tenant: string, batchCode: string | undefined): URLSearchParams {
  return new URLSearchParams({ tenant_id: tenant, ...(batchCode !== undefined && { batch_code: batchCode }) });
}

function withoutEmpty(fields: Record<string, unknown>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== ""));
}

/** It stumbles where `message` is missing. */
function toRow(record: Reply["body"]): Row {
  const { id, account_id, priority, created_at, deferred_ts, sent_ts, error_ts, reported_ts, error, message } = record;
  const { to, subject, retry_count } = message;
  return {
    ...{ id, account_id, priority, to, subject, created_at },
    ...{ deferred_ts, sent_ts, error_ts, reported_ts, error, retry_count },
  };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}
