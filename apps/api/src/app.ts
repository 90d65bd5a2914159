import { StorageBusy, StorageRefused, StorageUnavailable } from "@async-mail/db/store";
import { type ErrorHandler, Hono, type MiddlewareHandler } from "hono";
import * as v from "valibot";
import { accountRoutes } from "./accounts.ts";
import { failure, unavailable } from "./answers.ts";
import { requireToken } from "./auth.ts";
import type { Deps, Env } from "./deps.ts";
import { docsRoutes } from "./docs.ts";
import { messageRoutes } from "./messages.ts";
import { metricsRoutes, observe } from "./metrics.ts";
import { call, document } from "./openapi.ts";
import { ruleRoutes } from "./rules.ts";
import { serviceRoutes } from "./service.ts";

/** All of contract §3 over HTTP. */
export function createApp(deps: Deps): Hono<Env> {
  const { metrics, clock, apiToken, config, stopping, version } = deps;
  const app = new Hono<Env>();
  app.onError(onError(deps));
  app.notFound((c) => failure(c, 404, "Not Found"));

  app.use(observe(metrics, clock.monotonicMs));
  app.use(turnAwayWhenStopping(stopping));
  if (apiToken !== null) app.use(requireToken({ api: apiToken, metrics: config.metrics.token }));

  app.route("/", messageRoutes(deps));
  app.route("/", accountRoutes(deps));
  app.route("/", ruleRoutes(deps));
  app.route("/", serviceRoutes(deps));
  app.route("/", metricsRoutes(deps));
  app.route("/", docsRoutes());

  const documented = call("health", { summary: "This document", answers: { 200: v.unknown() }, open: true });
  app.get("/openapi.json", documented, async (c) => c.json(await document(app, version)));

  refuseOtherMethods(app);
  return app;
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
