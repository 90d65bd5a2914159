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
  nodeOptions?: string;
};

/** The service as it runs at an operator's, with a mail server and an application that cost next to nothing. */
export type Measured = {
  folder: string;
  api: string;
  application: Application;
  processes: { api: Proc; reporter: Proc; dispatchers: Proc[] };
  all: Proc[];
  /** Posts so many bodies one after another, and resolves when all their messages are reported. */
  deliver(bodies: string[], count: number): Promise<void>;
  stop(): Promise<void>;
};

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
  const measured: Measured = {
    folder,
    api: url as string,
    application,
    processes: { api, reporter, dispatchers },
    all,
    async deliver(bodies, count) {
      const reported = application.untilReported(application.reported() + count);
      for (const body of bodies) await application.post(measured.api, body);
      await reported;
    },
    async stop() {
      await Promise.all(all.map((one) => one.stop(120_000)));
      await application.close();
    },
  };
  return measured;
}
