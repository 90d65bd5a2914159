import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, relative } from "node:path";
import { tokenFile } from "@async-mail/api/token";
import { isTrouble, parsed, readable } from "../../scripts/log-lines.ts";
import { sendHello } from "./hello.ts";
import { openMailbox } from "./mailbox.ts";
import { openReportDesk } from "./report-desk.ts";

export type Sandbox = {
  /** What makes the three processes work in the sandbox. */
  env: Record<string, string>;
  /** Takes the lines that they write. */
  read(kind: string, line: string): void;
  close(): Promise<void>;
};

type Options = { folder: string; port: number; terminal: boolean; tell(text: string): void };

/**
 * Everything around the service that a newcomer does not have yet: a mail server that keeps what it gets, and an
 * application that listens to reports. Null, and the reason told, when the API's port is taken.
 */
export async function startSandbox({ folder, port, terminal, tell }: Options): Promise<Sandbox | null> {
  const database = join(folder, "sandbox.db");
  const mail = join(folder, "sandbox-mail");
  tell(`SANDBOX: nothing is configured, so no mail leaves this machine: it is kept in ${short(mail)}`);
  tell(`The database is ${short(database)}. To send real mail, see "Configuration" in README.md.`);
  if (await taken(port)) {
    tell(
      `Port ${port} on 127.0.0.1 is in use. End what listens there, or take another: npm start -- --port ${port + 1}`,
    );
    return null;
  }
  const url = `http://127.0.0.1:${port}`;
  const listening = new Set<string>();
  const desk = await openReportDesk(tell);
  const mailbox = await openMailbox(mail, ({ recipients, subject, file }) =>
    tell(`mail    to ${recipients.join(", ")}  "${subject}"  ${short(file)}`),
  );

  async function welcome(): Promise<void> {
    const file = tokenFile(database);
    const token = readFileSync(file, "utf8").trim();
    const hello = await sendHello({ url, token, mailbox, desk });
    tell(hello ?? `Messages kept so far: ${readdirSync(mail).length}`);
    // Only a terminal is shown the token itself: other output may be kept by somebody.
    tell(invitation(url, terminal ? token : `$(cat '${file}')`));
  }

  return {
    env: {
      ASYNC_MAIL_SANDBOX: "1",
      DB_PATH: database,
      HOST: "127.0.0.1",
      PORT: String(port),
      SMTP_HOST: "127.0.0.1",
      SMTP_PORT: String(mailbox.port),
      SMTP_SECURITY: "none",
      SMTP_EHLO_NAME: "[127.0.0.1]",
      PROXY_SYNC_URL: desk.url,
      ATTACHMENTS_ALLOW_HOSTS: "127.0.0.0/8, ::1",
    },
    read: (kind, line) => {
      if (isTrouble(line)) tell(`${kind} ${readable(line)}`);
      if (parsed(line)?.event === "listening") listening.add(kind);
      else return;
      // Only now, so that the times tell of the service and not of its start.
      if (listening.size === 3)
        welcome().catch((error) => tell(`The hello message did not come through: ${error.message}`));
    },
    close: async () => {
      await Promise.all([mailbox.close(), desk.close()]);
      tell(`The sandbox is closed. What it kept stays in ${short(folder)}`);
    },
  };
}

function invitation(url: string, token: string): string {
  const fields = `"from":"me@example.com","to":"you@example.com","subject":"Hi","body":"Hello"`;
  const data = `{"messages":[{"id":"try-'$(date +%s)'",${fields}}]}`;
  const headers = `-H "X-API-Token: ${token}" -H "Content-Type: application/json"`;
  return [
    "",
    "Send one yourself: paste this into another terminal",
    "",
    `  curl -s ${url}/commands/add-messages ${headers} -d '${data}'`,
    "",
    `All calls: ${url}/docs    Stop: Ctrl-C`,
    "",
  ].join("\n");
}

/** As one would type it here. */
function short(path: string): string {
  const inside = relative(process.cwd(), path);
  return inside.startsWith("..") ? path : `./${inside}`;
}

function taken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(true));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(false)));
  });
}
