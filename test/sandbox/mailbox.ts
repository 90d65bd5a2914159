import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { simpleParser } from "mailparser";
import { SMTPServer } from "smtp-server";

/** A mail server from which nothing ever leaves. */
export type Mailbox = {
  port: number;
  /** Resolves when a message with that subject has been kept. */
  kept(subject: string, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
};

type Kept = { recipients: string[]; subject: string; file: string };

/** Takes every message, keeps it as an .eml file, and tells of it. */
export async function openMailbox(folder: string, tell: (kept: Kept) => void): Promise<Mailbox> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const arrivals = new EventTarget();
  let count = 0;

  async function keep(raw: Buffer, recipients: string[]): Promise<void> {
    count += 1;
    const file = join(folder, `${new Date().toISOString().replaceAll(":", "-")}-${count}.eml`);
    await writeFile(file, raw, { mode: 0o600, flag: "wx" });
    const { subject = "" } = await simpleParser(raw, { skipHtmlToText: true, skipTextToHtml: true });
    tell({ recipients, subject, file });
    arrivals.dispatchEvent(new Event(subject));
  }

  const server = new SMTPServer({
    authOptional: true,
    allowInsecureAuth: true,
    disabledCommands: ["STARTTLS"],
    disableReverseLookup: true,
    closeTimeout: 100,
    logger: false,
    onAuth: (login, _session, done) => done(null, { user: login.username }),
    onData: (stream, session, done) => {
      const recipients = session.envelope.rcptTo.map((one) => one.address);
      buffer(stream)
        .then((raw) => keep(raw, recipients))
        .then(() => done(), done);
    },
  });
  // A connection that breaks is the dispatcher's to tell of.
  server.on("error", () => {});
  const listening = server.listen(0, "127.0.0.1");
  await once(listening, "listening");

  return {
    port: (listening.address() as AddressInfo).port,
    kept: async (subject, signal) => void (await once(arrivals, subject, { signal })),
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}
