import { apiClient } from "../../test/support/api-client.ts";
import { type Proc, startProcess } from "../../test/support/processes.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { type Application, startApplication } from "./application.ts";
import type { Sink } from "./sink.ts";

export type MeasuredOptions = {
  sink: Pick<Sink, "port">;
  dispatchers?: number;
  /** Text of config.ini, common to all. */
  config?: string;
  env?: Record<string, string>;
  /** Where the database is, when it has been filled before. */
  folder?: string;
};

/** The service as it runs at an operator's, with a mail server and an application that cost next to nothing. */
export type Measured = {
  folder: string;
  sinkPort: number;
  api: string;
  application: Application;
  processes: { api: Proc; reporter: Proc; dispatchers: Proc[] };
  all: Proc[];
  /** Posts so many bodies one after another, and resolves when all their messages are reported. */
  deliver(bodies: string[], count: number): Promise<void>;
  suspend(): Promise<void>;
  activate(): Promise<void>;
  /** One more account at the sink. */
  addAccount(id: string, port: number, fields?: object): Promise<void>;
  stop(): Promise<void>;
  /** Ends it at once, with whatever it still has to do. */
  kill(): Promise<void>;
};

/** The API alone, with a default account that nobody sends from. */
export async function startApi(config: string): Promise<{ url: string; proc: Proc; stop(): Promise<void> }> {
  const env = { SMTP_HOST: "127.0.0.1", SMTP_PORT: "9", SMTP_SECURITY: "none" };
  const proc = await startProcess("api", { env, config });
  const url = await proc.listening();
  return { url, proc, stop: async () => void (await proc.stop()) };
}

export async function startMeasured(options: MeasuredOptions): Promise<Measured> {
  const folder = options.folder ?? temporaryFolder();
  const application = await startApplication();
  const env = {
    SMTP_HOST: "127.0.0.1",
    SMTP_PORT: String(options.sink.port),
    SMTP_SECURITY: "none",
    PROXY_SYNC_URL: application.url,
    ...options.env,
  };
  const start = (kind: Proc["kind"]) =>
    startProcess(kind, { folder, env, ...(options.config === undefined ? {} : { config: options.config }) });
  const [api, reporter, ...dispatchers] = await Promise.all([
    start("api"),
    start("reporter"),
    ...Array.from({ length: options.dispatchers ?? 1 }, () => start("dispatcher")),
  ]);
  const all = [api, reporter, ...dispatchers];
  const [url] = await Promise.all(all.map((one) => one.listening(600_000)));
  async function command(path: string, body: object = {}): Promise<void> {
    const { status, text } = await apiClient(url as string).post(path, body);
    if (status !== 200) throw new Error(`${path}: the API answered ${status} ${text}`);
  }

  const measured: Measured = {
    folder,
    sinkPort: options.sink.port,
    api: url as string,
    application,
    processes: { api, reporter, dispatchers },
    all,
    async deliver(bodies, count) {
      const reported = application.untilReported(application.reported() + count);
      for (const body of bodies) await application.post(measured.api, body);
      await reported;
    },
    suspend: () => command("/commands/suspend"),
    activate: () => command("/commands/activate"),
    addAccount: (id, port, fields = {}) =>
      command("/account", { id, host: "127.0.0.1", port, security: "none", ...fields }),
    async stop() {
      await Promise.all(all.map((one) => one.stop(120_000)));
      await application.close();
    },
    async kill() {
      for (const one of all) one.kill("SIGKILL");
      await Promise.all(all.map((one) => one.exited()));
      await application.close();
    },
  };
  return measured;
}
