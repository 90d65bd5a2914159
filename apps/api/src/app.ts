import { StorageBusy, StorageRefused, StorageUnavailable, TenantGone } from "@async-mail/db/store";
import { type ErrorHandler, Hono, type MiddlewareHandler } from "hono";
import * as v from "valibot";
import { accountRoutes } from "./accounts.ts";
import { failure, unavailable } from "./answers.ts";
import { requireToken } from "./auth.ts";
import type { Deps, Env } from "./deps.ts";
import { DOCS_PATHS, docsRoutes } from "./docs.ts";
import { messageRoutes } from "./messages.ts";
import { metricsRoutes, observe } from "./metrics.ts";
import { calls, document, ruleOf } from "./openapi.ts";
import { ruleRoutes } from "./rules.ts";
import { unknownTenant } from "./scope.ts";
import { serviceRoutes } from "./service.ts";
import { tenantRoutes } from "./tenants.ts";

/** All of contract §3 over HTTP. */
export function createApp(deps: Deps): Hono<Env> {
  const { metrics, clock, apiToken, config, stopping, version, store } = deps;
  const call = calls(deps);
  const app = new Hono<Env>();
  app.onError(onError(deps));
  app.notFound((c) => failure(c, 404, "Not Found"));

  app.use(observe(metrics, clock.monotonicMs));
  app.use(turnAwayWhenStopping(stopping));
  app.use(requireToken({ api: apiToken, metrics: config.metrics.token }, store.tenants));

  app.route("/", messageRoutes(deps, call));
  app.route("/", accountRoutes(deps, call));
  app.route("/", tenantRoutes(deps, call));
  app.route("/", ruleRoutes(deps, call));
  app.route("/", serviceRoutes(deps, call));
  app.route("/", metricsRoutes(deps, call));
  app.route("/", docsRoutes());

  const documented = call("health", { summary: "This document", answers: { 200: v.unknown() }, access: "open" });
  app.get("/openapi.json", documented, async (c) => c.json(await document(app, version)));

  mustHaveRules(app);
  refuseOtherMethods(app);
  return app;
}

/** A call without a rule would be open to every key. */
export function mustHaveRules(app: Hono<Env>): void {
  const routes = app.routes.filter(({ method, path }) => method !== "ALL" && !DOCS_PATHS.includes(path));
  const ruled = new Set(routes.filter(({ handler }) => ruleOf(handler) !== null).map(nameOf));
  const unruled = routes.map(nameOf).find((name) => !ruled.has(name));
  if (unruled !== undefined) throw new Error(`${unruled} has no rule who may call it`);
}

function nameOf({ method, path }: { method: string; path: string }): string {
  return `${method} ${path}`;
}

/** What may still be asked of a process that finishes its work. */
const ASKED_WHILE_STOPPING = new Set(["/livez", "/readyz", "/health", "/metrics"]);

/** Requests begun before the stop are finished; each answer closes its connection. */
function turnAwayWhenStopping(stopping: AbortSignal): MiddlewareHandler<Env> {
  return async function turnAway(c, next) {
    if (stopping.aborted && !ASKED_WHILE_STOPPING.has(c.req.path)) c.res = unavailable(c, "stopping", 5);
    else await next();
    if (stopping.aborted) c.header("Connection", "close");
  };
}

function onError({ log }: Deps): ErrorHandler<Env> {
  return (error, c) => {
    const what = `${c.req.method} ${c.req.path}`;
    if (error instanceof StorageBusy) {
      log.storageBusy({ what });
      return unavailable(c, error.message, 1);
    }
    if (error instanceof StorageUnavailable || error instanceof StorageRefused) {
      log.storageUnavailable({ what, reason: error.message });
      return unavailable(c, error.message, 10);
    }
    // Its key ended while the call was under way.
    if (error instanceof TenantGone)
      return c.get("caller")?.kind === "tenant"
        ? failure(c, 401, "Invalid or missing API token")
        : unknownTenant(c, c.get("scope")?.id ?? "");
    log.failed(error, { what });
    return failure(c, 500, "Internal Server Error");
  };
}

/** A known path with a verb that it does not have. Hono itself would call the path unknown. */
function refuseOtherMethods(app: Hono<Env>): void {
  const methods = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method === "ALL") continue;
    methods.set(path, (methods.get(path) ?? new Set()).add(method));
  }
  for (const [path, known] of methods) {
    // Hono answers HEAD by GET.
    const allow = [...known, ...(known.has("GET") ? ["HEAD"] : [])].sort().join(", ");
    app.all(path, (c) => {
      c.header("Allow", allow);
      return failure(c, 405, "Method Not Allowed");
    });
  }
}
