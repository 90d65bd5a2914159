import type { Mailbox } from "./mailbox.ts";
import type { ReportDesk } from "./report-desk.ts";

const HELLO = {
  id: "hello",
  from: "Async Mail <hello@example.com>",
  to: "you@example.com",
  subject: "Hello from the sandbox",
  body: "Posted over HTTP, sent by SMTP, and reported back.\n",
};
const DEADLINE_MS = 30_000;

type Places = { url: string; token: string; mailbox: Mailbox; desk: ReportDesk };

/** At the first start: one message through the whole loop, and the line that tells how long each part took. Null later. */
export async function sendHello({ url, token, mailbox, desk }: Places): Promise<string | null> {
  const known = await fetch(`${url}/messages/${HELLO.id}`, { headers: { "x-api-token": token } });
  if (known.ok) return null;
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const startedMs = performance.now();
  const passed = () => Math.round(performance.now() - startedMs);
  const delivered = mailbox.kept(HELLO.subject, deadline).then(passed);
  const reported = desk.reported(HELLO.id, deadline).then(passed);
  const accepted = post(url, token).then(passed);
  const [acceptedMs, deliveredMs, reportedMs] = await Promise.all([accepted, delivered, reported]);
  return `hello   accepted after ${acceptedMs} ms, delivered after ${deliveredMs} ms, reported after ${reportedMs} ms`;
}

async function post(url: string, token: string): Promise<void> {
  const response = await fetch(`${url}/commands/add-messages`, {
    method: "POST",
    headers: { "x-api-token": token, "content-type": "application/json" },
    body: JSON.stringify({ messages: [HELLO] }),
  });
  const text = await response.text();
  const { queued } = JSON.parse(text);
  if (queued !== 1) throw new Error(`the API answered ${response.status} ${text}`);
}
