import type { Argv } from "yargs";
import type { Api, Body } from "./api.ts";
import type { Deps, Global } from "./deps.ts";
import { Refused } from "./faults.ts";
import { messagesTable, messageText } from "./message-text.ts";
import { tenantOption } from "./options.ts";
import { plural, print } from "./print.ts";
import { tail } from "./tail.ts";

const filterOptions = {
  status: { choices: ["pending", "deferred", "sent", "error"], describe: "Only these" },
  "active-only": { type: "boolean", describe: "Only what is not sent or failed yet" },
  account: { type: "string", describe: "Only of this account" },
  batch: { type: "string", describe: "Only with this batch_code" },
  ...tenantOption,
} as const;

export type Filter = {
  status?: string | undefined;
  activeOnly?: boolean | undefined;
  account?: string | undefined;
  batch?: string | undefined;
  tenant?: string | undefined;
};

/** As the API names them. */
export function toQuery({ status, activeOnly, account, batch, tenant }: Filter) {
  return { status, active_only: activeOnly, account_id: account, batch_code: batch, tenant_id: tenant };
}

/** The largest page that the API gives. */
const MOST = 1000;

/** What was accepted, and what came of it. */
export function messageCommands(yargs: Argv<Global>, deps: Deps): Argv<Global> {
  return yargs.command("messages", "What was accepted, and what came of it", (messages) =>
    messages
      .command(
        "list",
        "Messages by priority, then age, a page at a time",
        (one) =>
          one.options({
            ...filterOptions,
            limit: { type: "number", default: 50, describe: "1 to 1000 of them" },
            cursor: { type: "string", describe: "The page after: as the page before says it" },
            all: { type: "boolean", describe: "All of them, page after page" },
          }),
        async (args) => {
          const answer = args.all
            ? await listAll(await deps.api(args), args)
            : await listPage(await deps.api(args), args);
          print(deps, args, answer, () => pageText(answer));
        },
      )
      .command(
        "show <id>",
        "One message: its state, why it waits, and every attempt",
        (one) => one.positional("id", { type: "string", demandOption: true }).options(tenantOption),
        async (args) => {
          const path = `/messages/${encodeURIComponent(args.id)}`;
          const answer = await (await deps.api(args)).get(path, { tenant_id: args.tenant });
          print(deps, args, answer, () => messageText(answer));
        },
      )
      .command("retry <ids..>", "Put failed messages back in the queue", several, async (args) => {
        const api = await deps.api(args);
        const answer = await api.post("/commands/retry-messages", { ids: args.ids }, { tenant_id: args.tenant });
        print(deps, args, answer, () => `${plural(answer.retried, "message")} back in the queue`);
        refuseIfLeft([
          ["not found", answer.not_found],
          ["not failed", answer.not_failed],
        ]);
      })
      .command("delete <ids..>", "Delete messages, but those being sent right now", several, async (args) => {
        const api = await deps.api(args);
        const answer = await api.post("/commands/delete-messages", { ids: args.ids }, { tenant_id: args.tenant });
        print(deps, args, answer, () => `${plural(answer.removed, "message")} deleted`);
        refuseIfLeft([
          ["not found", answer.not_found],
          ["being sent right now", answer.in_flight ?? []],
        ]);
      })
      .command(
        "tail",
        "What changes, from now on, until Ctrl-C",
        (one) =>
          one.options({
            ...filterOptions,
            interval: { type: "number", default: 1, describe: "Seconds between two looks" },
          }),
        async (args) => tail(deps, await deps.api(args), args),
      )
      .demandCommand(1, "wanted: list, show, retry, delete or tail"),
  );
}

function several(yargs: Argv<Global>) {
  return yargs
    .positional("ids", { type: "string", array: true, demandOption: true, describe: "The messages' ids" })
    .options(tenantOption);
}

/** Something was done all the same, and is printed before. */
function refuseIfLeft(left: [string, string[]][]): void {
  const named = left.filter(([, ids]) => ids.length > 0).map(([why, ids]) => `${why}: ${ids.join(", ")}`);
  if (named.length > 0) throw new Refused(named.join("; "));
}

function listPage(api: Api, args: Filter & { limit: number; cursor?: string | undefined }): Promise<Body> {
  return api.get("/messages", { ...toQuery(args), limit: args.limit, cursor: args.cursor });
}

async function listAll(api: Api, args: Filter): Promise<Body> {
  const messages: Body[] = [];
  for (let cursor: string | undefined, more = true; more; ) {
    const page: Body = await api.get("/messages", { ...toQuery(args), limit: MOST, cursor });
    messages.push(...page.messages);
    cursor = page.next_cursor;
    more = cursor !== undefined;
  }
  return { ok: true, messages };
}

function pageText({ messages, next_cursor }: Body): string {
  const rows = messages.length === 0 ? "no messages" : messagesTable(messages);
  return next_cursor === undefined ? rows : `${rows}\nmore: --cursor ${next_cursor}`;
}
