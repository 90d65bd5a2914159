import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Books } from "./books.ts";
import { type Checker, createChecker } from "./check.ts";
import { type Fleet, startFleet } from "./fleet.ts";
import { freePort } from "./free-port.ts";
import { createKiller, type Killer } from "./killer.ts";
import { createLoad, type Load } from "./load.ts";
import { type MailServer, startMailServer } from "./mail-server.ts";
import { createOperator, type Operator } from "./operator.ts";
import { createPostBook } from "./post-book.ts";
import { type ServiceClient, serviceClient } from "./service-client.ts";
import { ACCOUNT_NAMES, CONFIG, TOKEN } from "./settings.ts";
import { type SyncDesk, startSyncDesk } from "./sync-desk.ts";

/** The service, all who have to do with it, and what each of them knows. */
export type Stage = {
  /** Configuration, database and logs. */
  folder: string;
  mail: MailServer;
  desk: SyncDesk;
  fleet: Fleet;
  service: ServiceClient;
  operator: Operator;
  load: Load;
  killer: Killer;
  books: Books;
  checker: Checker;
  close(): Promise<void>;
};

export async function startStage(seed: string): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), "async-mail-crash-"));
  writeFileSync(join(folder, "config.ini"), CONFIG);
  const mail = await startMailServer(seed, ACCOUNT_NAMES);
  const desk = await startSyncDesk(seed);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;

  /** A name of its own for each start, by which the mail server and the client know who speaks to them. */
  const envOf = (_: string, name: string) => ({
    PATH: process.env.PATH ?? "",
    HOME: folder,
    DB_PATH: join(folder, "mail.db"),
    HOST: "127.0.0.1",
    PORT: String(port),
    API_TOKEN: TOKEN,
    SMTP_HOST: "127.0.0.1",
    SMTP_PORT: String(mail.ports.get("default")),
    SMTP_SECURITY: "none",
    SMTP_EHLO_NAME: `${name}.crash.test`,
    PROXY_SYNC_URL: desk.urlFor(name),
  });
  const fleet = startFleet({ folder, envOf });
  const posts = createPostBook();
  const books: Books = { posts, mail: mail.book, sync: desk.book, generation: fleet.generation };
  const service = serviceClient(url);
  const killer = createKiller(seed, fleet);
  mail.strike = killer.now;
  desk.strike = killer.now;
  return {
    folder,
    mail,
    desk,
    fleet,
    service,
    operator: createOperator(service, mail.ports),
    load: createLoad({ seed, url, book: posts }),
    killer,
    books,
    checker: createChecker(service, books),
    close: async () => {
      await fleet.close();
      await Promise.all([mail.close(), desk.close()]);
    },
  };
}
