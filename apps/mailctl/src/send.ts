import { basename } from "node:path";
import type { Argv } from "yargs";
import { type Body, rejectionText } from "./api.ts";
import type { Deps, Global } from "./deps.ts";
import { readEml } from "./eml.ts";
import { Refused, WrongUsage } from "./faults.ts";
import { readTime } from "./given-time.ts";
import { onlyGiven, readBytes, STDIN } from "./input.ts";
import { tenantOption } from "./options.ts";
import { print, tellWarnings } from "./print.ts";

const sendOptions = {
  from: { type: "string", describe: "Such as 'Shop <shop@example.com>'" },
  to: { type: "string", array: true, describe: "One or several" },
  cc: { type: "string", array: true },
  bcc: { type: "string", array: true },
  "reply-to": { type: "string", array: true },
  subject: { type: "string" },
  body: { type: "string", describe: "The text; - for standard input" },
  "body-file": { type: "string", describe: "The text, in a file" },
  html: { type: "string", describe: "The HTML; - for standard input" },
  "html-file": { type: "string", describe: "The HTML, in a file" },
  attach: { type: "string", array: true, describe: "A file, or an http(s) URL from which the service fetches it" },
  account: { type: "string", describe: "By which account; absent: the default one" },
  priority: { type: "string", describe: "immediate, high, medium or low" },
  defer: { type: "string", describe: "Not before: a time, or a span such as 2h" },
  expires: { type: "string", describe: "Not after: a time, or a span such as 2h" },
  batch: { type: "string", describe: "Its batch_code" },
  id: { type: "string", describe: "Absent: one is made. The same id again is refused" },
  ...tenantOption,
} as const;

type Send = Global & {
  eml?: string | undefined;
  from?: string | undefined;
  to?: string[] | undefined;
  cc?: string[] | undefined;
  bcc?: string[] | undefined;
  replyTo?: string[] | undefined;
  subject?: string | undefined;
  body?: string | undefined;
  bodyFile?: string | undefined;
  html?: string | undefined;
  htmlFile?: string | undefined;
  attach?: string[] | undefined;
  account?: string | undefined;
  priority?: string | undefined;
  defer?: string | undefined;
  expires?: string | undefined;
  batch?: string | undefined;
  id?: string | undefined;
  tenant?: string | undefined;
};

/** One message into the queue. */
export function sendCommand(yargs: Argv<Global>, deps: Deps): Argv<Global> {
  return yargs.command(
    "send [eml]",
    "Queue one message, from options or an .eml file; what an option says goes before the file",
    (one) =>
      one.positional("eml", { type: "string", describe: "An .eml file; - for standard input" }).options(sendOptions),
    async (args) => {
      const api = await deps.api(args);
      const message = await toMessage(deps, args);
      const answer = await api.post("/commands/add-messages", { messages: [message] }, { tenant_id: args.tenant });
      tellWarnings(deps, answer);
      refuseUnlessQueued(answer);
      print(deps, args, { ...answer, id: message.id }, () => `queued: ${message.id}`);
    },
  );
}

/** A duplicate id alone is a success of the API, but not of who wanted to send something. */
function refuseUnlessQueued({ queued, rejected }: Body): void {
  if (queued !== 1) throw new Refused(rejected.map(rejectionText).join("; "));
}

async function toMessage(deps: Deps, args: Send): Promise<Record<string, unknown>> {
  refuseTwoInputs(args);
  const { eml, attach = [] } = args;
  const fromFile = eml === undefined ? {} : await readEml(await readBytes(deps, eml, "the .eml file"));
  const given = onlyGiven({
    from: args.from,
    to: args.to,
    cc: args.cc,
    bcc: args.bcc,
    reply_to: args.replyTo,
    subject: args.subject,
    body: await textOf(deps, args.body, args.bodyFile),
    html: await textOf(deps, args.html, args.htmlFile),
    account_id: args.account,
    priority: args.priority,
    deferred_ts: args.defer === undefined ? undefined : readTime("defer", args.defer, deps.now().wallMs),
    expires_ts: args.expires === undefined ? undefined : readTime("expires", args.expires, deps.now().wallMs),
    batch_code: args.batch,
  });
  const message = { id: args.id ?? deps.newId(), ...fromFile, ...given };
  refuseIfMissing(message);
  if (attach.length === 0) return message;
  const before = (fromFile.attachments ?? []) as object[];
  return { ...message, attachments: [...before, ...(await Promise.all(attach.map((one) => toAttachment(deps, one))))] };
}

/** There is one standard input. */
function refuseTwoInputs({ eml, body, bodyFile, html, htmlFile }: Send): void {
  if ([eml, body, bodyFile, html, htmlFile].filter((one) => one === STDIN).length > 1)
    throw new WrongUsage("- stands for standard input, and can be given once");
  if (body !== undefined && bodyFile !== undefined) throw new WrongUsage("--body or --body-file, not both");
  if (html !== undefined && htmlFile !== undefined) throw new WrongUsage("--html or --html-file, not both");
}

function refuseIfMissing(message: Record<string, unknown>): void {
  const missing = ["from", "to", "subject"].filter((field) => message[field] === undefined);
  if (missing.length === 0) return;
  throw new WrongUsage(`wanted: ${missing.map((field) => `--${field}`).join(", ")}, or an .eml file that says it`);
}

async function textOf(deps: Deps, text: string | undefined, file: string | undefined): Promise<string | undefined> {
  if (file !== undefined) return (await readBytes(deps, file, "the file")).toString("utf8");
  return text === STDIN ? (await readBytes(deps, STDIN, "standard input")).toString("utf8") : text;
}

async function toAttachment(deps: Deps, source: string): Promise<object> {
  if (/^https?:\/\//i.test(source)) return { url: source };
  const content = await readBytes(deps, source, "--attach");
  return { filename: basename(source), content: content.toString("base64") };
}
