import { type ApiClient, apiClient } from "../support/api-client.ts";
import { bytes } from "../support/file-answers.ts";
import { type FileServer, startFileServer } from "../support/file-server.ts";
import { aMessage, anAccount } from "../support/messages.ts";
import { type Service, type ServiceOptions, startService } from "../support/service.ts";
import { type Script, type SmtpServer, startSmtpServer } from "../support/smtp-server.ts";
import { type SyncClient, startSyncClient } from "../support/sync-client.ts";

/** A service to which all happens that its metrics tell of. */
export type BusyService = {
  service: Service;
  /** A round of mail: sent, partly refused, error, deferred, held, slowed, limited, with files that are there and that are not, and refused. */
  post(): Promise<void>;
  stop(): Promise<void>;
};

const CONFIG = `
[attachments]
allow_hosts = 127.0.0.2

[delivery]
lease_seconds = 5
`;

const HELD = "held@example.com";
const SLOWED = "slowed@example.com";

/** How the mail server answers, by recipient and by login. */
const SCRIPT: Script = {
  onAuth: ({ user }) => (user === HELD ? { code: 535, text: "5.7.8 Authentication failed" } : undefined),
  onMail: (from) => (from === SLOWED ? { code: 451, text: "4.7.500 Server busy" } : undefined),
  onRcpt: (to) => {
    if (to.startsWith("nobody")) return { code: 550, text: "5.1.1 No such user" };
    if (to.startsWith("later")) return { code: 450, text: "4.2.1 Try again later" };
    return undefined;
  },
};

export async function startBusyService(
  options: Pick<ServiceOptions, "dispatchers" | "env"> = {},
): Promise<BusyService> {
  const files = await startFileServer({ "/terms.txt": bytes("As agreed.") }, { host: "127.0.0.2" });
  const service = await startService({ ...options, config: CONFIG, smtp: { script: SCRIPT } });
  const strict = await startSmtpServer({ script: SCRIPT, auth: "required" });
  const deaf = await startSyncClient({ answer: () => ({ status: 500 }) });
  const shop = await prepare(service, strict, deaf);
  // Of the tenant `default`'s client one call fails, all others are acknowledged.
  let failures = 1;
  service.client.answer = () => (failures-- > 0 ? { status: 500 } : { body: { ok: true } });
  return {
    service,
    post: () => postAll(service, shop, files),
    stop: async () => {
      await service.stop();
      await Promise.all([files.close(), strict.close(), deaf.close()]);
    },
  };
}

/** The accounts, and a tenant whose client takes no report; answers its own API client. */
async function prepare({ api, smtp, processes }: Service, strict: SmtpServer, deaf: SyncClient): Promise<ApiClient> {
  const made = await api.post("/tenant", { id: "shop", client_base_url: new URL(deaf.url).origin });
  const shop = apiClient(await processes.api.listening(), made.body.api_key);
  const { port } = smtp;
  const accounts = [
    anAccount({ id: "limited", port, limit_per_minute: 1, limit_per_day: 1000 }),
    anAccount({ id: "held", port: strict.port, user: HELD, password: "wrong" }),
    anAccount({ id: "slowed", port }),
  ];
  const answers = [
    ...(await Promise.all(accounts.map((account) => api.post("/account", account)))),
    await shop.post("/account", anAccount({ id: "news", port, limit_per_hour: 10_000 })),
  ];
  for (const { status, text } of [made, ...answers]) if (status !== 200) throw new Error(`${status} ${text}`);
  return shop;
}

async function postAll({ api }: Service, shop: ApiClient, files: FileServer): Promise<void> {
  const file = (path: string) => ({ attachments: [{ url: files.url(path) }] });
  await api.addMessages(
    aMessage(),
    aMessage({ to: ["recipient@example.org", "nobody@example.org"] }),
    aMessage({ to: "nobody@example.org" }),
    aMessage({ to: "later@example.org" }),
    aMessage({ account_id: "held" }),
    aMessage({ account_id: "slowed", from: SLOWED }),
    aMessage({ account_id: "limited" }),
    aMessage({ account_id: "limited" }),
    aMessage(file("/terms.txt")),
    aMessage(file("/gone.txt")),
    aMessage({ attachments: [{ filename: "a.txt", content: "QQo=" }] }),
    aMessage({ subject: undefined }),
  );
  await shop.addMessages(
    aMessage({ account_id: "news" }),
    aMessage({ account_id: "news", to: ["recipient@example.org", "nobody@example.org"] }),
    aMessage({ account_id: "news", to: "later@example.org" }),
  );
  await Promise.all([api.get("/status"), api.get("/accounts"), api.get("/messages?limit=5"), api.get("/no-such-path")]);
}
