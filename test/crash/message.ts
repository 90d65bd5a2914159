import { chance } from "../support/random.ts";

/** A message as the load posts it. */
export type PostedMessage = {
  id: string;
  from: string;
  to: string[];
  cc: string[];
  bcc: string[];
  subject: string;
  body: string;
  html?: string;
  account_id?: string;
  priority: number;
  deferred_ts?: number;
  on_ambiguous?: "fail";
  attachments?: { filename: string; content: string }[];
};

/** Of which `limited` gets so many that its limit binds. */
const ACCOUNTS: readonly (readonly [number, string])[] = [
  [2, "default"],
  [2, "plain"],
  [2, "login"],
  [1.5, "narrow"],
  [1.5, "limited"],
];

/** What the message of that id is; only its moment is not of the seed's making. */
export function randomMessage(seed: string, id: string, nowMs: number): PostedMessage {
  const random = chance(seed, "posted", id);
  const account = random.weighted(ACCOUNTS);
  const recipients = Array.from({ length: random.whole(1, 5) }, (_, i) => `${id}.${i}@example.org`);
  const lists: Record<"to" | "cc" | "bcc", string[]> = { to: [], cc: [], bcc: [] };
  recipients.forEach((address, i) => {
    lists[i === 0 ? "to" : random.pick(["to", "cc", "bcc"] as const)].push(address);
  });
  return {
    id,
    from: `${id}@crash.test`,
    ...lists,
    subject: `Crash test ${id}`,
    body: wholeMark("text", id),
    priority: random.whole(0, 3),
    ...(account === "default" ? {} : { account_id: account }),
    ...(random.happens(0.3) ? { html: `<p>${wholeMark("html", id)}</p>` } : {}),
    ...(random.happens(0.15) ? { attachments: [attachment(id, random.whole(1, 20_000))] } : {}),
    ...(random.happens(0.12) ? { deferred_ts: nowMs / 1000 + 1 } : {}),
    ...(random.happens(0.2) ? { on_ambiguous: "fail" as const } : {}),
  };
}

export function recipientsOf({ to, cc, bcc }: PostedMessage): string[] {
  return [...to, ...cc, ...bcc];
}

function wholeMark(part: string, id: string): string {
  return `the ${part} of ${id}, to its end.`;
}

function attachment(id: string, bytes: number) {
  const content = Buffer.alloc(bytes, `${id} `).toString("base64");
  return { filename: `${id}.txt`, content };
}

export function headerOf(raw: string, name: string): string {
  const head = raw.slice(0, raw.indexOf("\r\n\r\n")).replace(/\r\n[ \t]+/g, " ");
  return new RegExp(`^${name}: (.*)$`, "im").exec(head)?.[1]?.trim() ?? "";
}

/** What is missing or foreign in a message that was taken; null: nothing. */
export function damageOf(id: string, raw: string): string | null {
  if (headerOf(raw, "subject") !== `Crash test ${id}`) return "another subject";
  if (!raw.includes(wholeMark("text", id))) return "its text is not whole";
  if (raw.includes("multipart/") && !raw.trimEnd().endsWith("--")) return "its last boundary is missing";
  if (/^bcc:/im.test(raw.slice(0, raw.indexOf("\r\n\r\n")))) return "it tells the Bcc";
  return null;
}
