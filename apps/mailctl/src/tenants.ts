import type { Argv } from "yargs";
import type { Body } from "./api.ts";
import type { Deps, Global } from "./deps.ts";
import { onlyGiven, readJson, STDIN } from "./input.ts";
import { alone, type Limits, limitFields, limitOptions } from "./options.ts";
import { fields, print, table, tellWarnings } from "./print.ts";
import { readSecret, refuseArgument } from "./secret.ts";

const changeOptions = {
  name: { type: "string", describe: "What people call it" },
  "client-base-url": { type: "string", describe: "Where its client is; empty: none" },
  "client-sync-path": { type: "string", describe: "Below it, where reports go" },
  "client-attachment-path": { type: "string", describe: "Below it, where files are asked for" },
  "client-auth": { choices: ["none", "basic", "bearer"], describe: "How its client is logged in to" },
  "client-user": { type: "string", describe: "For basic" },
  "client-secret-file": { type: "string", describe: "The password or token, in a file; - for standard input" },
  "ask-client-secret": { type: "boolean", describe: "Asks for it, unseen" },
  "client-secret": {
    hidden: true,
    coerce: refuseArgument("client-secret", "--client-secret-file, - for standard input"),
  },
  active: { type: "boolean", describe: "--no-active stops all its mail and polling" },
  "s3-prefix": { type: "string", array: true, describe: "bucket/prefix that its attachments may name" },
  ...limitOptions,
} as const;

type Change = Limits & {
  name?: string | undefined;
  clientBaseUrl?: string | undefined;
  clientSyncPath?: string | undefined;
  clientAttachmentPath?: string | undefined;
  clientAuth?: string | undefined;
  clientUser?: string | undefined;
  clientSecretFile?: string | undefined;
  askClientSecret?: boolean | undefined;
  active?: boolean | undefined;
  s3Prefix?: string[] | undefined;
};

/** The applications served. */
export function tenantCommands(yargs: Argv<Global>, deps: Deps): Argv<Global> {
  return yargs.command("tenants", "The applications served", (tenants) =>
    tenants
      .command(
        "add <id>",
        "Register a tenant, or change it, and give it a new key, shown this once; - reads JSON from standard input",
        (one) => one.positional("id", { type: "string", demandOption: true }).options(changeOptions),
        async (args) => {
          const body =
            args.id === STDIN ? await readJson(deps, "a tenant") : { id: args.id, ...(await toChange(args)) };
          const made = await (await deps.api(args)).post("/tenant", body);
          tellWarnings(deps, made);
          print(deps, args, made, () => keyText(made));
        },
      )
      .command(
        "list",
        "All tenants",
        (all) => all.option("active-only", { type: "boolean", describe: "Only those whose mail goes out" }),
        async (args) => {
          const answer = await (await deps.api(args)).get("/tenants", { active_only: args.activeOnly });
          print(deps, args, answer, () => tenantsTable(answer.tenants));
        },
      )
      .command("show <id>", "One tenant, without its secrets", named, async (args) => {
        const answer = await (await deps.api(args)).get(pathOf(args.id));
        print(deps, args, answer, () => tenantText(answer));
      })
      .command(
        "change <id>",
        "Change a tenant; what is not given stays",
        (one) => named(one).options(changeOptions),
        async (args) => {
          const answer = await (await deps.api(args)).put(pathOf(args.id), await toChange(args));
          tellWarnings(deps, answer);
          print(deps, args, answer, () => "done");
        },
      )
      .command(
        "delete <id>",
        "Delete a tenant; its unsent messages become errors, which are reported",
        named,
        async (args) => {
          const answer = await (await deps.api(args)).delete(pathOf(args.id));
          print(deps, args, answer, () => "deleted");
        },
      )
      .command(
        "key <id>",
        "Give a tenant a new key, shown this once; the old one ends",
        (one) => named(one).option("end", { type: "boolean", describe: "Only end the one it has" }),
        async (args) => {
          const api = await deps.api(args);
          const path = `${pathOf(args.id)}/api-key`;
          const answer = args.end ? await api.delete(path) : await api.post(path);
          print(deps, args, answer, () => (args.end ? "its key has ended" : keyText(answer)));
        },
      )
      .command("sync-status", "How each stands with its client", alone, async (args) => {
        const answer = await (await deps.api(args)).get("/tenants/sync-status");
        print(deps, args, answer, () => syncTable(answer.tenants));
      })
      .demandCommand(1, "wanted: add, list, show, change, delete, key or sync-status"),
  );

  async function toChange(args: Change): Promise<object> {
    const limits = onlyGiven(limitFields(args));
    const auth = await toAuth(args);
    return onlyGiven({
      name: args.name,
      client_base_url: args.clientBaseUrl,
      client_sync_path: args.clientSyncPath,
      client_attachment_path: args.clientAttachmentPath,
      client_auth: auth,
      active: args.active,
      s3_prefixes: args.s3Prefix?.filter((prefix) => prefix !== ""),
      rate_limits: Object.keys(limits).length > 0 ? limits : undefined,
    });
  }

  async function toAuth({ clientAuth, clientUser, clientSecretFile, askClientSecret }: Change) {
    if (clientAuth === undefined) return undefined;
    const question = clientAuth === "bearer" ? "Token of its client" : "Password of its client";
    const secret = await readSecret(deps, { file: clientSecretFile, ask: askClientSecret, question });
    const named = clientAuth === "bearer" ? { token: secret } : { user: clientUser, password: secret };
    return { method: clientAuth, ...(clientAuth === "none" ? {} : onlyGiven(named)) };
  }
}

function named(yargs: Argv<Global>) {
  return yargs.positional("id", { type: "string", demandOption: true, describe: "The tenant's id" });
}

function pathOf(id: string): string {
  return `/tenant/${encodeURIComponent(id)}`;
}

function keyText({ api_key }: Body): string {
  return `API key, shown this once: ${api_key}`;
}

function tenantsTable(tenants: Body[]): string {
  if (tenants.length === 0) return "no tenants";
  const rows = tenants.map((one) => [
    one.id,
    one.active ? "yes" : "no",
    one.has_api_key ? "yes" : "no",
    one.client_base_url,
    one.name,
  ]);
  return table(["id", "active", "key", "client", "name"], rows);
}

function tenantText(tenant: Body): string {
  const { client_auth, rate_limits, s3_prefixes } = tenant;
  const limits = Object.entries(rate_limits).map(
    ([name, value]) => `${value} ${name.replace("limit_", "").replaceAll("_", " ")}`,
  );
  return fields([
    ["id", tenant.id],
    ["name", tenant.name],
    ["active", tenant.active ? "yes" : "no"],
    ["key", tenant.has_api_key ? "yes" : "none"],
    ["client", tenant.client_base_url],
    ["reports to", tenant.client_sync_path],
    ["files from", tenant.client_attachment_path],
    ["login", [client_auth.method, client_auth.user].filter(Boolean).join(" ")],
    ["limits", limits.join(", ")],
    ["s3", s3_prefixes.join(", ")],
    ["created", tenant.created_at],
    ["updated", tenant.updated_at],
  ]);
}

function syncTable(tenants: Body[]): string {
  const rows = tenants.map((one) => [
    one.id,
    one.reports_waiting,
    one.last_call,
    one.next_due,
    one.outcome ?? "not called yet",
  ]);
  return table(["id", "reports waiting", "last call", "next due", "outcome"], rows);
}
