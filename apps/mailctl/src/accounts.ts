import type { Argv } from "yargs";
import type { Body } from "./api.ts";
import type { Deps, Global } from "./deps.ts";
import { Refused } from "./faults.ts";
import { readTime } from "./given-time.ts";
import { onlyGiven, readBytes, readJson, STDIN } from "./input.ts";
import { type Limits, limitFields, limitOptions, ofTenant, tenantOption } from "./options.ts";
import { fields, print, table, tellWarnings } from "./print.ts";
import { readSecret, refuseArgument } from "./secret.ts";

const addOptions = {
  host: { type: "string", describe: "The mail server" },
  port: { type: "number", describe: "465 for tls, else 587" },
  user: { type: "string", describe: "Its login" },
  "password-file": { type: "string", describe: "Holds the password; - for standard input" },
  "ask-password": { type: "boolean", describe: "Asks for the password, unseen" },
  password: {
    hidden: true,
    coerce: refuseArgument("password", "--password-file, - for standard input, or --ask-password"),
  },
  security: { choices: ["tls", "starttls", "opportunistic", "none"], describe: "By default as port and --use-tls say" },
  "use-tls": { type: "boolean", describe: "tls on port 465, else starttls" },
  ttl: { type: "number", describe: "How long one connection may be used, in seconds" },
  "limit-behavior": { choices: ["defer", "reject"], describe: "What a limit does to what is over it" },
  "max-connections": { type: "number", describe: "Open at once" },
  "batch-size": { type: "number", describe: "Messages taken by one claim" },
  timeout: { type: "number", describe: "Seconds for connecting and for each reply" },
  "tls-ca-file": { type: "string", describe: "PEM file of a private CA" },
  "tls-servername": { type: "string", describe: "The name in its certificate" },
  "on-ambiguous": { choices: ["retry", "fail"], describe: "When the reply to DATA never came" },
  ...limitOptions,
  ...tenantOption,
} as const;

type Add = Global &
  Limits & {
    id: string;
    host?: string | undefined;
    port?: number | undefined;
    user?: string | undefined;
    passwordFile?: string | undefined;
    askPassword?: boolean | undefined;
    security?: string | undefined;
    useTls?: boolean | undefined;
    ttl?: number | undefined;
    limitBehavior?: string | undefined;
    maxConnections?: number | undefined;
    batchSize?: number | undefined;
    timeout?: number | undefined;
    tlsCaFile?: string | undefined;
    tlsServername?: string | undefined;
    onAmbiguous?: string | undefined;
  };

type Named = Global & { id: string; tenant?: string | undefined };

/** The SMTP accounts by which mail leaves. */
export function accountCommands(yargs: Argv<Global>, deps: Deps): Argv<Global> {
  return yargs.command("accounts", "The SMTP accounts by which mail leaves", (accounts) =>
    accounts
      .command(
        "add <id>",
        "Add an account, or replace it; - reads it as JSON from standard input",
        (one) => one.positional("id", { type: "string", demandOption: true }).options(addOptions),
        async (args) => {
          const body = args.id === STDIN ? await readJson(deps, "an account") : await toAccount(args);
          const answer = await (await deps.api(args)).post("/account", body, { tenant_id: args.tenant });
          tellWarnings(deps, answer);
          print(
            deps,
            args,
            answer,
            () => `kept; mailctl accounts verify ${args.id === STDIN ? "ID" : args.id} tries its login`,
          );
        },
      )
      .command("list", "All accounts with their states", ofTenant, async (args) => {
        const answer = await (await deps.api(args)).get("/accounts", { tenant_id: args.tenant });
        print(deps, args, answer, () => accountsTable(answer.accounts));
      })
      .command("show <id>", "One account: its state, and what is left of its limits", named, async (args) => {
        const answer = await (await deps.api(args)).get(pathOf(args.id), { tenant_id: args.tenant });
        print(deps, args, answer, () => accountText(answer));
      })
      .command("verify <id>", "Log in and out, without sending; ends a hold when that works", named, verify)
      .command(
        "hold <id>",
        "Send nothing by it, until released or a time",
        (one) =>
          named(one).options({
            reason: { type: "string", describe: "For people" },
            until: { type: "string", describe: "A time, or a span such as 2h" },
          }),
        async (args) => {
          const until = args.until === undefined ? undefined : readTime("until", args.until, deps.now().wallMs);
          await change(args, "hold", "held", onlyGiven({ reason: args.reason, until }));
        },
      )
      .command("release <id>", "End a hold", named, (args) => change(args, "release", "released"))
      .command(
        "delete <id>",
        "Delete an account; its unsent messages become errors, which are reported",
        named,
        async (args) => {
          const answer = await (await deps.api(args)).delete(pathOf(args.id), { tenant_id: args.tenant });
          print(deps, args, answer, () => "deleted");
        },
      )
      .demandCommand(1, "wanted: add, list, show, verify, hold, release or delete"),
  );

  async function toAccount(args: Add): Promise<object> {
    const password = await readSecret(deps, {
      file: args.passwordFile,
      ask: args.askPassword,
      question: `Password of ${args.user ?? args.id}`,
    });
    const ca = args.tlsCaFile === undefined ? undefined : await readBytes(deps, args.tlsCaFile, "--tls-ca-file");
    return onlyGiven({
      id: args.id,
      host: args.host,
      port: args.port,
      user: args.user,
      password,
      security: args.security,
      use_tls: args.useTls,
      ttl: args.ttl,
      ...limitFields(args),
      limit_behavior: args.limitBehavior,
      max_connections: args.maxConnections,
      batch_size: args.batchSize,
      timeout: args.timeout,
      tls_ca: ca?.toString("utf8"),
      tls_servername: args.tlsServername,
      on_ambiguous: args.onAmbiguous,
    });
  }

  async function verify(args: Named): Promise<void> {
    const api = await deps.api(args);
    const { status, body } = await api.ask("POST", `${pathOf(args.id)}/verify`, { query: { tenant_id: args.tenant } });
    // Its words are the mail server's.
    if (status === 502) throw new Refused(`account ${args.id}: ${body.error}`);
    if (status === 503) throw new Refused(`account ${args.id}: ${body.error}; a dispatcher has to run to try a login`);
    if (status !== 200) throw new Refused(`account ${args.id}: ${body?.error ?? `HTTP ${status}`}`);
    print(deps, args, body, () => "the login works");
  }

  async function change(args: Named, what: string, done: string, body?: object): Promise<void> {
    const api = await deps.api(args);
    const answer = await api.post(`${pathOf(args.id)}/${what}`, body, { tenant_id: args.tenant });
    print(deps, args, answer, () => done);
  }
}

function named(yargs: Argv<Global>) {
  return yargs
    .positional("id", {
      type: "string",
      demandOption: true,
      describe: "The account's id; default: the configuration's",
    })
    .options(tenantOption);
}

function pathOf(id: string): string {
  return `/account/${encodeURIComponent(id)}`;
}

function accountsTable(accounts: Body[]): string {
  if (accounts.length === 0) return "no accounts";
  const rows = accounts.map((one) => [one.id, one.state, `${one.host}:${one.port}`, one.user, one.pending, why(one)]);
  return table(["id", "state", "server", "user", "unsent", "why"], rows);
}

function why({ reason, until }: Body): string {
  return [reason, until && `until ${until}`].filter(Boolean).join(", ");
}

function accountText(account: Body): string {
  const left = Object.entries(account.left).map(([name, value]) => `${value} ${name.replaceAll("_", " ")}`);
  const { slowed } = account;
  return fields([
    ["id", account.id],
    ["state", [account.state, why(account)].filter(Boolean).join(": ")],
    ["server", `${account.host}:${account.port}, ${account.security}`],
    ["user", account.user],
    ["password", account.has_password ? "yes" : "none"],
    ["unsent", account.pending],
    ["in flight", account.in_flight],
    ["left", left.join(", ")],
    ["slowed", slowed && `${slowed.messages_per_minute} a minute until ${slowed.until}: ${slowed.reason}`],
    ["over limit", account.limit_behavior],
    ["connections", account.max_connections],
    ["batch size", account.batch_size],
    ["timeout", account.timeout],
    ["created", account.created_at],
    ["updated", account.updated_at],
  ]);
}
