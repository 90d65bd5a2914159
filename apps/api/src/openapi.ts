import { STATUS_CODES } from "node:http";
import { toJsonSchema } from "@valibot/to-json-schema";
import type { Hono, MiddlewareHandler } from "hono";
import {
  type DescribeRouteOptions,
  describeRoute,
  generateSpecs,
  loadVendor,
  resolver,
  uniqueSymbol,
} from "hono-openapi";
import * as v from "valibot";
import type { Deps, Env } from "./deps.ts";
import { type Access, decideAccess } from "./scope.ts";

const DetailSchema = v.pipe(
  v.unknown(),
  v.description("The error again, or what is known beyond it: an object or a list"),
);
export const FailureSchema = v.pipe(
  v.object({ ok: v.literal(false), error: v.string(), detail: DetailSchema }),
  v.metadata({ ref: "Failure" }),
);

type Description = {
  /** Say what the call does, as a title. */
  summary: string;
  description?: string;
  /** By status; the failures that any call may answer are added. */
  answers: Record<number, v.GenericSchema>;
  /** Of another type than JSON: the media type of the 200. */
  type?: string;
  access: Access;
};

/** A call's rule, kept by the middleware that documents it. */
export type Call = (tag: string, description: Description) => MiddlewareHandler<Env>;

const RULE = Symbol("rule");

/** The rule that a route's handler was given; null: none, so that it is not the first of its route. */
export function ruleOf(handler: object): Access | null {
  return (handler as { [RULE]?: Access })[RULE] ?? null;
}

/** What its body and query must be is documented by the middleware that checks them. */
export function calls(deps: Pick<Deps, "store">): Call {
  return (tag, description) => {
    const { access } = description;
    const middleware: MiddlewareHandler<Env> = async (c, next) => {
      const refused = await decideAccess(deps, c, access);
      return refused ?? next();
    };
    return Object.assign(middleware, documentation(tag, description), { [RULE]: access });
  };
}

const TENANT_QUERY = {
  name: "tenant_id",
  in: "query",
  schema: { type: "string" },
  description: "Whose it is; with a tenant's key its own, else `default`.",
} as const;

/** As the library marks its own middleware by it. */
function documentation(tag: string, { summary, description, answers, type, access }: Description): object {
  const failures: Description["answers"] =
    access === "open" ? {} : { 401: FailureSchema, 403: FailureSchema, 500: FailureSchema, 503: FailureSchema };
  if (access === "tenant") failures[404] = FailureSchema;
  const responses: DescribeRouteOptions["responses"] = {};
  for (const [status, schema] of Object.entries({ ...failures, ...answers })) {
    const media = status === "200" && type ? type : "application/json";
    responses[status] = { description: STATUS_CODES[status] ?? "", content: { [media]: { schema: resolver(schema) } } };
  }
  const described = describeRoute({
    tags: [tag],
    summary,
    ...(description && { description }),
    ...(access === "tenant" && { parameters: [TENANT_QUERY] }),
    responses,
    ...(access === "open" && { security: [] }),
  });
  return { [uniqueSymbol]: (described as unknown as Record<symbol, unknown>)[uniqueSymbol] };
}

/** The document of all calls of `app`, from the schemas that validate them. */
export function document(app: Hono<Env>, version: string) {
  // Of a value that is transformed a client must know how to write it, not what becomes of it.
  const toJSONSchema = (schema: unknown, options?: object) =>
    toJsonSchema(schema as v.GenericSchema, { ...options, typeMode: "input", errorMode: "ignore" });
  loadVendor("valibot", { toJSONSchema });
  return generateSpecs(app, {
    defaultValidationErrorResponse: false,
    excludeStaticFile: false,
    documentation: {
      info: {
        title: "gnr-async-mail-service",
        version,
        description:
          "Takes messages, sends them by SMTP within the limits of each account, and reports what came of them.",
      },
      components: {
        securitySchemes: {
          token: { type: "apiKey", in: "header", name: "X-API-Token" },
          bearer: { type: "http", scheme: "bearer" },
        },
      },
      security: [{ token: [] }, { bearer: [] }],
    },
  });
}
