import type { Argv } from "yargs";
import type { Body } from "./api.ts";
import type { Deps, Global } from "./deps.ts";
import { ofTenant } from "./options.ts";
import { fields, print, table } from "./print.ts";

function ofBatch(yargs: Argv<Global>) {
  return ofTenant(yargs).option("batch", { type: "string", describe: "Only the tenant's messages of this batch_code" });
}

/** The service as a whole, or a tenant's part of it. */
export function serviceCommands(yargs: Argv<Global>, deps: Deps): Argv<Global> {
  return yargs
    .command("status", "What the service is doing, and which processes run", ofTenant, async (args) => {
      const api = await deps.api(args);
      const status = await api.get("/status", { tenant_id: args.tenant });
      print(deps, args, status, () => statusText(status));
    })
    .command(
      "suspend",
      "Send nothing and poll nobody, until activated: all, one tenant, or one batch",
      ofBatch,
      (args) => setActive(args, "suspend"),
    )
    .command("activate", "End a suspension", ofBatch, (args) => setActive(args, "activate"))
    .command("run-now", "Look at the queue and poll the client now", ofTenant, async (args) => {
      const api = await deps.api(args);
      const done = await api.post("/commands/run-now", undefined, { tenant_id: args.tenant });
      print(deps, args, done, () => "done");
    });

  async function setActive(
    args: Global & { tenant?: string | undefined; batch?: string | undefined },
    what: "suspend" | "activate",
  ): Promise<void> {
    const api = await deps.api(args);
    const query = { tenant_id: args.tenant, batch_code: args.batch };
    const answer = await api.post(`/commands/${what}`, undefined, query);
    print(deps, args, answer, () => switchText(answer));
  }
}

function statusText({ active, pending_messages, processes, version }: Body): string {
  const head = fields([
    ["state", active ? "active" : "suspended: nothing leaves until `mailctl activate`"],
    ["unsent", pending_messages],
    ["version", version],
  ]);
  if (processes.length === 0) return head;
  const rows = processes.map((one: Body) => [one.kind, one.pid, one.host, one.started_at, one.seen_at, one.version]);
  return `${head}\n\n${table(["process", "pid", "host", "started", "seen", "version"], rows)}`;
}

function switchText({ active, tenant_id, suspended_batches, pending_messages }: Body): string {
  if (active !== undefined) return active ? "active" : "suspended";
  const what =
    suspended_batches.length === 0
      ? "nothing of it is suspended"
      : suspended_batches[0] === "*"
        ? "all of it is suspended"
        : `suspended batches: ${suspended_batches.join(", ")}`;
  return `tenant ${tenant_id}: ${what}; ${pending_messages} unsent`;
}
