import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Answer, type ApiClient, apiClient } from "../support/api-client.ts";
import { eventually } from "../support/eventually.ts";
import { bytes, redirect, status } from "../support/file-answers.ts";
import { startFileServer } from "../support/file-server.ts";
import { aMessage, anAccount } from "../support/messages.ts";
import { type Service, startService } from "../support/service.ts";
import type { SmtpServerOptions } from "../support/smtp-server.ts";
import { type SyncAnswer, type SyncCall, type SyncClient, startSyncClient } from "../support/sync-client.ts";
import type { Place, Secrets } from "./secret-search.ts";

export type FullRun = {
  service: Service;
  secrets: Secrets;
  /** Where secrets may stand: the key, and the API's token. */
  secretFiles: string[];
  /** Answers but those that show a new key, logs, metrics, reports and mails. */
  said(): Promise<Place[]>;
  stop(): Promise<void>;
};

/** No other's, and otherwise when it is JSON, or in a URL. */
const secretOf = (what: string) => `${what}/of+a "run" & ä=${randomBytes(6).toString("hex")}`;
/** As a token or a signature must be. */
const tokenOf = (what: string) => `${what}/of+a&run=${randomBytes(6).toString("hex")}`;

const PASSWORDS = {
  "password of the account default": secretOf("default"),
  "password of an account": secretOf("account"),
  "password of a tenant's account": secretOf("tenant's"),
  "wrong password": secretOf("wrong"),
};
const CONFIGURED = {
  "client's password": secretOf("client"),
  "metrics token": tokenOf("metrics"),
  "signing secret": `whsec_${randomBytes(32).toString("base64")}`,
};
const CLIENT_AUTH = {
  "password of a tenant's client": secretOf("basic"),
  "token of a tenant's client": tokenOf("bearer"),
};
const ATTACHMENTS = {
  "password in a URL": secretOf("url"),
  "signature of a URL": tokenOf("signature"),
  "fragment of a URL": tokenOf("fragment"),
  "signature that is redirected to": tokenOf("redirect"),
  "password of an attachment": secretOf("attachment"),
  "token of an attachment": tokenOf("attachment"),
  "signature of a storage path": tokenOf("storage"),
};
const REFUSED = {
  "password of a refused account": secretOf("refused"),
  "token of a refused tenant": `${tokenOf("refused")} with a blank`,
  "password of a refused attachment": secretOf("refused attachment"),
  "signature of a refused attachment": tokenOf("refused"),
};

/** The whole service, doing all that it can do with secrets, until what was posted has ended or been put off. */
export async function fullRun(t: TestContext, env: Record<string, string> = {}): Promise<FullRun> {
  const files = await startFileServer(
    {
      "/file": bytes("a file"),
      "/busy": status(503),
      "/login": status(401),
      "/moved": bytes("moved"),
      "/redirect": redirect(`/moved?signature=${encodeURIComponent(ATTACHMENTS["signature that is redirected to"])}`),
      "/redirect-to-nothing": redirect(
        `/gone?signature=${encodeURIComponent(ATTACHMENTS["signature that is redirected to"])}`,
      ),
    },
    { host: "127.0.0.2" },
  );
  const clients = { good: await startSyncClient({ answer: goodClient }), bad: await startSyncClient(BAD_CLIENT) };
  const service = await startService({
    smtp: SMTP,
    config: "[attachments]\nallow_hosts = 127.0.0.2\n[delivery]\nretry_delays_seconds = 3600\n",
    env: {
      LOG_LEVEL: "trace",
      API_TOKEN: "", // made at the first start
      METRICS_TOKEN: CONFIGURED["metrics token"],
      SMTP_USER: "default",
      SMTP_PASSWORD: PASSWORDS["password of the account default"],
      PROXY_SYNC_USER: "client",
      PROXY_SYNC_PASSWORD: CONFIGURED["client's password"],
      SYNC_SIGNING_SECRET: CONFIGURED["signing secret"],
      ...env,
    },
  });
  const stop = async () => {
    await Promise.all([service.stop(), files.close(), clients.good.close(), clients.bad.close()]);
  };
  t.after(stop);

  const { folder, processes } = service;
  const tokenFile = join(folder, "mail.db.token");
  const keyFile = join(folder, "mail.db.key");
  const token = readFileSync(tokenFile, "utf8").trim();
  const answers: Place[] = [];
  const admin = recorded(apiClient(await processes.api.listening(), token), answers);
  const { accountsOf, keys } = await register(admin, service, clients);
  const idsOf = await postMessages(admin, files.origin);
  await refusals(admin);
  await allEnded(admin, idsOf);
  await eventually(
    () => processes.reporter.log.some(({ event, tenant }) => event === "report_failed" && tenant === "bad"),
    20_000,
    "the refusal of a tenant's client",
  );

  async function said(): Promise<Place[]> {
    await readAll(admin, idsOf, accountsOf);
    const all = [processes.api, ...processes.dispatchers, processes.reporter];
    const metrics = await Promise.all(all.map((proc) => metricsOf(proc)));
    return [...answers, ...metrics, ...all.map(outputOf), ...posted(service.client, clients), mails(service)];
  }

  const key = keyIn(keyFile);
  return {
    service,
    secrets: {
      "API token": token,
      "encryption key": key.toString("base64"),
      "encryption key in hex": key.toString("hex"),
      ...keys,
      ...PASSWORDS,
      ...CONFIGURED,
      "signing secret, bare": CONFIGURED["signing secret"].slice("whsec_".length),
      ...CLIENT_AUTH,
      ...ATTACHMENTS,
      ...REFUSED,
    },
    secretFiles: [tokenFile, keyFile],
    said,
    stop,
  };
}

const LOGINS: Record<string, string> = {
  default: PASSWORDS["password of the account default"],
  account: PASSWORDS["password of an account"],
  tenant: PASSWORDS["password of a tenant's account"],
};

const SMTP: SmtpServerOptions = {
  auth: "required",
  script: {
    onAuth: ({ user, password }) =>
      LOGINS[user] === password ? undefined : { code: 535, text: "5.7.8 authentication failed" },
    onRcpt: (to) => {
      if (to.startsWith("refused")) return { code: 550, text: "5.1.1 no such user" };
      return to.startsWith("later") ? { code: 451, text: "4.3.0 later" } : undefined;
    },
  },
};

function goodClient({ path, body, headers }: SyncCall): SyncAnswer {
  const expected = `Basic ${Buffer.from(`basic:${CLIENT_AUTH["password of a tenant's client"]}`).toString("base64")}`;
  if (headers.authorization !== expected) return { body: { error: "who are you?" } };
  if (path === "/proxy_sync") return {};
  const { storage_path } = body as unknown as { storage_path: string };
  if (storage_path.startsWith("file")) return { rawBody: "a file of the client" };
  return storage_path.startsWith("refused") ? { body: { error: "not for you" } } : { status: 404 };
}

/** Its login fails, for reports and for attachments. */
const BAD_CLIENT = { answer: ({ path }: SyncCall) => (path === "/proxy_sync" ? { status: 401 } : { status: 403 }) };

/** All that is asked is kept, but for what is to be shown only once. */
function recorded(api: ApiClient, answers: Place[]): ApiClient {
  const keep = (place: string, { status, headers, text }: Answer) => {
    const shown = `${status}\n${JSON.stringify([...headers])}\n${text}`;
    if (!text.includes('"api_key"')) answers.push({ place, bytes: Buffer.from(shown) });
  };
  const get: ApiClient["get"] = async (path, headers) => {
    const answer = await api.get(path, headers);
    keep(`answer to GET ${path}`, answer);
    return answer;
  };
  const post: ApiClient["post"] = async (path, body, headers) => {
    const answer = await api.post(path, body, headers);
    keep(`answer to POST ${path}`, answer);
    return answer;
  };
  return { ...api, get, post };
}

type Tenant = "" | "good" | "bad";
type ByTenant = [tenant: Tenant, ids: string[]][];

async function register(admin: ApiClient, { smtp }: Service, clients: Record<"good" | "bad", SyncClient>) {
  const baseUrl = ({ port }: SyncClient) => `http://127.0.0.1:${port}`;
  const good = await admin.post("/tenant", {
    id: "good",
    client_base_url: baseUrl(clients.good),
    client_auth: { method: "basic", user: "basic", password: CLIENT_AUTH["password of a tenant's client"] },
  });
  const bad = await admin.post("/tenant", {
    id: "bad",
    client_base_url: baseUrl(clients.bad),
    client_auth: { method: "bearer", token: CLIENT_AUTH["token of a tenant's client"] },
  });
  const rekeyed = await admin.post("/tenant/bad/api-key");
  const { host, port } = smtp;
  const account = (user: string, password: string) => anAccount({ id: "own", host, port, user, password });
  const posted = [
    await admin.post("/account", account("account", PASSWORDS["password of an account"])),
    await admin.post("/account", { ...account("account", PASSWORDS["wrong password"]), id: "wrong" }),
    await admin.post("/account?tenant_id=good", account("tenant", PASSWORDS["password of a tenant's account"])),
    await admin.post("/account?tenant_id=bad", account("tenant", PASSWORDS["password of a tenant's account"])),
  ];
  const failed = [good, bad, rekeyed, ...posted].find((one) => one.status !== 200);
  if (failed !== undefined) throw new Error(failed.text);
  await admin.post("/account/wrong/verify");
  const accountsOf: ByTenant = [
    ["", ["default", "own", "wrong"]],
    ["good", ["own"]],
    ["bad", ["own"]],
  ];
  const keys = {
    "key of a tenant": good.body.api_key,
    "former key of a tenant": bad.body.api_key,
    "key made anew": rekeyed.body.api_key,
  };
  return { accountsOf, keys };
}

/** Of every kind of attachment and end. */
async function postMessages(admin: ApiClient, origin: string): Promise<ByTenant> {
  const login = (path: string) => {
    const password = encodeURIComponent(ATTACHMENTS["password in a URL"]);
    return `${origin.replace("//", `//user:${password}@`)}${path}`;
  };
  const signed = (path: string) =>
    `${origin}${path}?signature=${encodeURIComponent(ATTACHMENTS["signature of a URL"])}#${ATTACHMENTS["fragment of a URL"]}`;
  const basic = { method: "basic", user: "attachment", password: ATTACHMENTS["password of an attachment"] };
  const bearer = { method: "bearer", token: ATTACHMENTS["token of an attachment"] };
  const stored = (path: string) => ({
    storage_path: `${path}?signature=${ATTACHMENTS["signature of a storage path"]}`,
  });
  const web = [
    ...["/file", "/gone", "/busy", "/login", "/redirect", "/redirect-to-nothing"].flatMap((path) => [
      { url: login(path) },
      { url: signed(path) },
      { url: `${origin}${path}`, auth: basic },
      { url: `${origin}${path}`, auth: bearer },
      { storage_path: signed(path), fetch_mode: "http_url", auth: bearer },
    ]),
    { url: signed("/file").replace(origin, "http://127.0.0.2:9") },
    { url: signed("/file").replace(origin, "http://10.1.2.3") },
    { url: login("/file").replace("127.0.0.2", "nowhere.invalid") },
  ];
  const withFile = (attachment: object) => aMessage({ attachments: [attachment] });
  const ofDefault = [
    aMessage(),
    aMessage({ account_id: "own" }),
    aMessage({ account_id: "own", to: "refused@example.org" }),
    aMessage({ account_id: "own", to: "later@example.org" }),
    aMessage({ account_id: "wrong" }),
    ...web.map(withFile),
  ];
  const ofTenant = [
    aMessage(),
    aMessage({ to: "refused@example.org" }),
    ...["file.txt", "refused.txt", "gone.txt"].map((path) => withFile(stored(path))),
    withFile({ ...stored("file.txt"), auth: basic }),
  ];
  const idsOf: ByTenant = [];
  for (const [tenant, messages] of [
    ["", ofDefault],
    ["good", ofTenant],
    ["bad", ofTenant],
  ] as const) {
    const own = messages.map((message) => (tenant === "" ? message : { ...message, account_id: "own" }));
    const { body, text } = await admin.post(`/commands/add-messages${query(tenant)}`, { messages: own });
    if (body.queued !== own.length) throw new Error(text);
    idsOf.push([tenant, own.map(({ id }) => id)]);
  }
  return idsOf;
}

/** What is wrong is told, and may be told with what was given. */
async function refusals(admin: ApiClient): Promise<void> {
  const [password, token, urlPassword, signature] = Object.values(REFUSED) as [string, string, string, string];
  const inUrl = encodeURIComponent(urlPassword);
  const attachments = [
    { url: `http://user:${inUrl}@host:99999/?signature=${signature}` },
    { url: `ftp://user:${inUrl}@host/?signature=${signature}` },
    { url: `http://ho st/?signature=${signature}`, content_id: `<${"x".repeat(600)}>` },
    { storage_path: `${"x".repeat(20_000)}?signature=${signature}` },
    { url: `http://host/?signature=${signature}`, auth: { method: "bearer", token } },
    { url: `http://host/?signature=${signature}`, auth: { method: "basic", password: urlPassword } },
    { url: `http://host/?signature=${signature}`, s3: { bucket: "b", key: "k" }, auth: { method: token } },
  ];
  const answers = [
    await admin.post("/account", anAccount({ id: "refused", user: "refused", password, port: 99_999 })),
    await admin.post("/account", anAccount({ id: "refused", password: { password } })),
    await admin.post("/account", anAccount({ id: "refused", user: `${"x".repeat(600)}\n`, password })),
    await admin.post("/tenant", { id: "refused", client_auth: { method: "bearer", token } }),
    await admin.post("/tenant", { id: "refused", client_auth: { method: "basic", password } }),
    await admin.post("/tenant", { id: "refused", client_base_url: `http://user:${encodeURIComponent(password)}@host` }),
    await admin.post("/commands/add-messages", {
      messages: attachments.map((one) => aMessage({ attachments: [one] })),
    }),
  ];
  const taken = answers.find((one) => one.status < 400);
  if (taken !== undefined) throw new Error(`not refused: ${taken.text}`);
}

async function allEnded(admin: ApiClient, idsOf: ByTenant): Promise<void> {
  const waiting = async () => {
    const open: string[] = [];
    for (const [tenant] of idsOf) {
      const { messages } = (await admin.get(`/messages${query(tenant)}`)).body;
      for (const { id, status, deferred_reason, account_id, waiting } of messages)
        if (status === "pending" && !deferred_reason && account_id !== "wrong") open.push(`${id} ${waiting?.reason}`);
    }
    return open;
  };
  let left: string[] = [];
  await eventually(
    async () => {
      left = await waiting();
      return left.length === 0;
    },
    30_000,
    () => `the end of ${left.join(", ")}`,
  );
}

/** Every call of the API that reads. */
async function readAll(admin: ApiClient, idsOf: ByTenant, accountsOf: ByTenant): Promise<void> {
  const ofAll = ["/tenants", "/tenants/sync-status", "/tenant/good", "/tenant/bad", "/tenant/default", "/metrics"];
  const asked = [
    ...ofAll,
    ...["/status", "/commands/rules", "/health", "/livez", "/readyz", "/openapi.json", "/docs", "/redoc"],
    ...idsOf.flatMap(([tenant, ids]) => [
      `/messages${query(tenant)}`,
      ...ids.map((id) => `/messages/${encodeURIComponent(id)}${query(tenant)}`),
    ]),
    ...accountsOf.flatMap(([tenant, ids]) => [
      `/accounts${query(tenant)}`,
      ...ids.map((id) => `/account/${id}${query(tenant)}`),
    ]),
  ];
  const { paths } = (await admin.get("/openapi.json")).body as { paths: Record<string, object> };
  const reads = Object.keys(paths).filter((path) => "get" in paths[path]!);
  const unasked = reads.filter((path) => {
    const looks = new RegExp(`^${path.replaceAll(/\{[^}]*\}/g, "[^/?]+")}(\\?|$)`);
    return !asked.some((one) => looks.test(one));
  });
  if (unasked.length > 0) throw new Error(`not asked: ${unasked.join(", ")}`);
  for (const path of asked) {
    const { status, text } = await admin.get(path);
    if (status !== 200 && status !== 404) throw new Error(`${path}: ${status} ${text}`);
  }
}

function query(tenant: Tenant): string {
  return tenant === "" ? "" : `?tenant_id=${tenant}`;
}

// ---------------------------------------------------------------- what was said

type Running = Service["processes"]["api"];

async function metricsOf(proc: Running): Promise<Place> {
  const answer = await apiClient(await proc.listening(), CONFIGURED["metrics token"]).get("/metrics");
  if (answer.status !== 200) throw new Error(`metrics of ${proc.kind}: ${answer.status}`);
  return { place: `metrics of ${proc.kind}`, bytes: Buffer.from(answer.text) };
}

function outputOf(proc: Running): Place {
  return { place: `output of ${proc.kind}`, bytes: Buffer.from(proc.stdout() + proc.stderr()) };
}

/** Their headers hold logins, as they must. */
function posted(configured: SyncClient, clients: Record<string, SyncClient>): Place[] {
  return Object.entries({ ...clients, configured }).map(([name, { calls }]) => {
    const reports = calls.filter(({ path }) => /sync$/.test(path)).map(({ path, rawBody }) => `${path}\n${rawBody}`);
    return { place: `reports to the client ${name}`, bytes: Buffer.from(reports.join("\n")) };
  });
}

function mails({ smtp }: Service): Place {
  return { place: "mails", bytes: Buffer.concat(smtp.messages.map(({ raw }) => raw)) };
}

// ---------------------------------------------------------------- keys

/** The only one in the file. */
export function keyIn(file: string): Buffer {
  const lines = keysIn(file);
  if (lines.length !== 1) throw new Error(`${file} has ${lines.length} keys`);
  return Buffer.from(lines[0]!, "base64");
}

/** The newest first. */
export function keysIn(file: string): string[] {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.filter((line) => line !== "" && !line.startsWith("#"));
}

/** As sealed texts name it. */
export function idOfKey(base64: string): string {
  return createHash("sha256").update(Buffer.from(base64, "base64")).digest("hex").slice(0, 8);
}
