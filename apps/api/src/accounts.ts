import type { AccountRecord } from "@async-mail/db/store";
import { AccountSchema, DEFAULT_ACCOUNT_ID, parseAccount } from "@async-mail/domain/account";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import { type Context, Hono } from "hono";
import * as v from "valibot";
import { AccountViewSchema, toAccountView } from "./account-view.ts";
import { notFound, success, unprocessable } from "./answers.ts";
import { inBody } from "./body.ts";
import type { Deps, Env } from "./deps.ts";
import { HoldSchema, holdEnd } from "./hold.ts";
import { type Call, FailureSchema } from "./openapi.ts";
import { type Scope, scopeOf, tenantOf } from "./scope.ts";
import { faultOfHost } from "./tenant-hosts.ts";
import { verify } from "./verify.ts";

const ok = v.literal(true);
const DoneSchema = v.object({ ok });
/** For calls that need none: it may say whose they are. */
const NothingSchema = v.object({});
const OneSchema = v.object({ ok, ...AccountViewSchema.entries });
const AllSchema = v.object({ ok, accounts: v.array(AccountViewSchema) });
const changing = { 200: DoneSchema, 404: FailureSchema };

export function accountRoutes(deps: Deps, call: Call): Hono<Env> {
  const { store, clock, bodies, config, log } = deps;
  const app = new Hono<Env>();

  /** The configuration's password is not in the store. */
  function view(record: AccountRecord, { id, withTenants }: Scope) {
    const configured = record.account.id === DEFAULT_ACCOUNT_ID;
    const shown = toAccountView(configured ? { ...record, hasPassword: config.smtp.password !== null } : record);
    return withTenants ? { tenant_id: id, ...shown } : shown;
  }

  const putting = call("accounts", {
    summary: "Insert an account, or replace it by id",
    access: "tenant",
    answers: { 200: DoneSchema, 413: FailureSchema, 422: FailureSchema },
  });
  app.post("/account", putting, bodies.object(AccountSchema), async (c) => {
    const parsed = parseAccount(c.req.valid("json"));
    if (!parsed.ok) return unprocessable(c, inBody(parsed.issues));
    const scope = scopeOf(c);
    const fault = faultOfHost(config, scope, parsed.account);
    if (fault !== null) return unprocessable(c, inBody([fault]));
    const { accounts } = store.of(scope.tenant);
    const put = await accounts.put(parsed.account, { keepPassword: parsed.keepPassword }, clock.now());
    if (!put.ok) {
      const msg = `wanted again, since ${put.changed} changed`;
      return unprocessable(c, [{ type: "password_wanted", loc: ["body", "password"], msg }]);
    }
    log.operated({ action: "account posted", ...tenantOf(scope), account: parsed.account.id });
    c.set("warnings", parsed.warnings);
    return success(c);
  });

  app.get(
    "/accounts",
    call("accounts", { summary: "List the accounts with their states", access: "tenant", answers: { 200: AllSchema } }),
    async (c) => {
      const scope = scopeOf(c);
      const accounts = await store.of(scope.tenant).accounts.list(clock.now());
      return success(c, { accounts: accounts.map((record) => view(record, scope)) });
    },
  );

  const showing = call("accounts", {
    summary: "Show one account with its state",
    access: "tenant",
    answers: { 200: OneSchema, 404: FailureSchema },
  });
  app.get("/account/:id", showing, async (c) => {
    const scope = scopeOf(c);
    const record = await store.of(scope.tenant).accounts.get(c.req.param("id"), clock.now());
    return record ? success(c, view(record, scope)) : notFound(c, "account");
  });

  const deleting = call("accounts", {
    summary: "Delete an account; its unsent messages become errors, which are reported",
    access: "tenant",
    answers: { 200: DoneSchema, 422: FailureSchema },
  });
  app.delete("/account/:id", deleting, async (c) => {
    const id = c.req.param("id");
    const scope = scopeOf(c);
    if (id === DEFAULT_ACCOUNT_ID && scope.tenant === DEFAULT_TENANT) return notDeletable(c);
    await store.of(scope.tenant).accounts.remove(id, clock.now());
    log.operated({ action: "account deleted", ...tenantOf(scope), account: id });
    return success(c);
  });

  const holding = call("accounts", {
    summary: "Hold an account: nothing is sent by it until it is released",
    access: "tenant",
    answers: { ...changing, 422: FailureSchema },
  });
  app.post("/account/:id/hold", holding, bodies.json(HoldSchema), async (c) => {
    const { reason, until } = c.req.valid("json");
    const now = clock.now();
    const end = holdEnd(until ?? null, now);
    if (!end.ok) return unprocessable(c, [end.issue]);
    const id = c.req.param("id");
    const why = reason || "held by an operator";
    const scope = scopeOf(c);
    const known = await store.of(scope.tenant).accounts.hold(id, why, end.steadyMs, now);
    if (known) log.operated({ action: "account held", ...tenantOf(scope), account: id, reason: why });
    return known ? success(c) : notFound(c, "account");
  });

  app.post(
    "/account/:id/release",
    call("accounts", { summary: "End a hold", access: "tenant", answers: changing }),
    bodies.json(NothingSchema),
    async (c) => {
      const id = c.req.param("id");
      const scope = scopeOf(c);
      if (!(await store.of(scope.tenant).accounts.release(id, clock.now()))) return notFound(c, "account");
      log.operated({ action: "account released", ...tenantOf(scope), account: id });
      return success(c);
    },
  );

  const verifying = call("accounts", {
    summary: "Have a dispatcher log in and out, without sending",
    description: "502 carries the server's words, 503 says that no dispatcher answered.",
    access: "tenant",
    answers: { ...changing, 502: FailureSchema },
  });
  app.post("/account/:id/verify", verifying, bodies.json(NothingSchema), (c) => verify(deps, c, c.req.param("id")));

  return app;
}

function notDeletable(c: Context<Env>): Response {
  const msg = `the account ${DEFAULT_ACCOUNT_ID} is the configuration's: remove it there (smtp.host)`;
  return unprocessable(c, [{ type: "configured", loc: ["path", "id"], msg }]);
}
