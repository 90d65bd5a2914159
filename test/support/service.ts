import { type ApiClient, apiClient } from "./api-client.ts";
import { type Proc, startProcess } from "./processes.ts";
import { type SmtpServer, type SmtpServerOptions, startSmtpServer } from "./smtp-server.ts";
import { type SyncClient, startSyncClient } from "./sync-client.ts";
import { temporaryFolder } from "./temporary-folder.ts";

export type ServiceOptions = {
  dispatchers?: number;
  /** Text of config.ini, common to all. */
  config?: string;
  env?: Record<string, string>;
  smtp?: SmtpServerOptions;
};

/** The whole service as it runs at an operator's, between a mail server and an application. */
export type Service = {
  folder: string;
  smtp: SmtpServer;
  client: SyncClient;
  api: ApiClient;
  processes: { api: Proc; dispatchers: Proc[]; reporter: Proc };
  /** One more, on the same file. */
  addDispatcher(): Promise<Proc>;
  /** All processes end and start again on the same file, with `env` over what it was: another machine's clock, say. */
  restart(env?: Record<string, string>): Promise<void>;
  /** Stops all of it; answers the exit codes. */
  stop(): Promise<(number | null)[]>;
};

/** The three processes as real ones, on a file of their own, ready for mail. */
export async function startService(options: ServiceOptions = {}): Promise<Service> {
  const folder = temporaryFolder();
  const smtp = await startSmtpServer(options.smtp);
  const client = await startSyncClient();
  const env: Record<string, string> = {
    SMTP_HOST: smtp.host,
    SMTP_PORT: String(smtp.port),
    SMTP_SECURITY: "none",
    PROXY_SYNC_URL: client.url,
    ...options.env,
  };
  let started: Proc[] = [];
  const start = async (kind: Proc["kind"]) => {
    const proc = await startProcess(kind, { folder, env, ...(options.config ? { config: options.config } : {}) });
    started.push(proc);
    return proc;
  };
  const launch = async () => {
    const [api, reporter, ...dispatchers] = await Promise.all([
      start("api"),
      start("reporter"),
      ...Array.from({ length: options.dispatchers ?? 1 }, () => start("dispatcher")),
    ]);
    const [url] = await Promise.all([api.listening(), ...started.map((proc) => proc.listening())]);
    return { api: apiClient(url), processes: { api, dispatchers, reporter } };
  };
  const end = () => Promise.all(started.map((proc) => proc.stop()));

  const service: Service = {
    folder,
    smtp,
    client,
    ...(await launch()),
    addDispatcher: async () => {
      const proc = await start("dispatcher");
      await proc.listening();
      return proc;
    },
    restart: async (other = {}) => {
      await end();
      started = [];
      Object.assign(env, other);
      Object.assign(service, await launch());
    },
    stop: async () => {
      const exits = await end();
      await Promise.all([smtp.close(), client.close()]);
      return exits.map((exit) => exit.code);
    },
  };
  return service;
}
