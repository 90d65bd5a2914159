import type { Busy } from "@async-mail/db/store";
import { StorageUnavailable } from "@async-mail/db/store";
import { createMetrics } from "@async-mail/runtime/metrics";
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import * as v from "valibot";
import { createDatabaseMetrics, type DatabaseFacts } from "./database-metrics.ts";
import type { Deps, Env } from "./deps.ts";
import type { Call } from "./openapi.ts";

/** One reason of contract §3.3, or what all others come to. */
const REASONS = new Set([
  "missing id",
  "missing from",
  "missing to",
  "missing subject",
  "account not found",
  "missing account configuration",
  "duplicate id",
  "invalid payload",
]);

export type ApiMetrics = {
  /** Text for a scrape, and its type. */
  scrape(facts: DatabaseFacts | null): Promise<{ text: string; type: string }>;
  enqueued(count: number): void;
  rejected(reason: string): void;
  request(fields: { method: string; route: string; status: number; seconds: number }): void;
};

export function createApiMetrics(version: string, busy: () => Busy): ApiMetrics {
  const metrics = createMetrics({ process: "api", version });
  const showDatabase = createDatabaseMetrics(metrics);
  metrics.showBusy(busy);
  const enqueued = metrics.counter("enqueued_total", "Messages accepted by this process.");
  const rejected = metrics.counter("rejected_total", "Messages refused by this process.", ["reason"]);
  const requests = metrics.counter("http_requests_total", "Requests answered.", ["method", "route", "status"]);
  const requestSeconds = metrics.histogram(
    "http_request_seconds",
    "Time to the answer, its body excluded.",
    [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    ["route"],
  );
  enqueued.inc(0);

  return {
    async scrape(facts) {
      showDatabase(facts);
      return { text: await metrics.registry.metrics(), type: metrics.registry.contentType };
    },
    enqueued: (count) => enqueued.inc(count),
    rejected: (reason) => rejected.inc({ reason: REASONS.has(reason) ? reason : "invalid field" }),
    request({ method, route, status, seconds }) {
      requests.inc({ method, route, status: String(status) });
      requestSeconds.observe({ route }, seconds);
    },
  };
}

/** Counts and times every request by its route, never by its path. */
export function observe(metrics: ApiMetrics, monotonicMs: () => number): MiddlewareHandler<Env> {
  return async function observed(c, next) {
    const startedMs = monotonicMs();
    await next();
    const seconds = (monotonicMs() - startedMs) / 1000;
    metrics.request({ method: c.req.method, route: routeOf(c), status: c.res.status, seconds });
  };
}

/** The last match is the handler's; of an unknown path only the middleware matched. */
function routeOf(c: Context<Env>): string {
  const path = routePath(c, -1);
  return path === "" || path === "/*" ? "none" : path;
}

export function metricsRoutes({ store, clock, metrics, log, config }: Deps, call: Call): Hono<Env> {
  const app = new Hono<Env>();
  const description = "Facts of the database are exported here alone, from counts kept by the transactions.";
  const documented = call("service", {
    summary: "Metrics, in Prometheus' text format",
    description,
    access: "admin",
    answers: { 200: v.string() },
    type: "text/plain",
  });
  async function databaseFacts(): Promise<DatabaseFacts> {
    const { counts, stalled } = store.service;
    const now = clock.now();
    return { counts: await counts(now), stall: await stalled(config.delivery.stalledAfterSeconds * 1000, now) };
  }

  app.get("/metrics", documented, async (c) => {
    const facts = await databaseFacts().catch((error: unknown) => {
      // A scrape tells most when something is wrong: what this process knows of itself is still answered.
      const what = "counts for metrics";
      if (error instanceof StorageUnavailable) log.storageUnavailable({ what, reason: error.message });
      else log.failed(error, { what });
      return null;
    });
    const { text, type } = await metrics.scrape(facts);
    return c.body(text, 200, { "Content-Type": type });
  });
  return app;
}
