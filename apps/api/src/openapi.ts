import { STATUS_CODES } from "node:http";
import { toJsonSchema } from "@valibot/to-json-schema";
import type { Hono, MiddlewareHandler } from "hono";
import { type DescribeRouteOptions, describeRoute, generateSpecs, loadVendor, resolver } from "hono-openapi";
import * as v from "valibot";
import type { Env } from "./deps.ts";

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
  /** No token is asked for. */
  open?: boolean;
};

/** Documents a call; what its body and query must be is documented by the middleware that checks them. */
export function call(tag: string, { summary, description, answers, type, open }: Description): MiddlewareHandler<Env> {
  const failures = open ? {} : { 401: FailureSchema, 500: FailureSchema, 503: FailureSchema };
  const responses: DescribeRouteOptions["responses"] = {};
  for (const [status, schema] of Object.entries({ ...failures, ...answers })) {
    const media = status === "200" && type ? type : "application/json";
    responses[status] = { description: STATUS_CODES[status] ?? "", content: { [media]: { schema: resolver(schema) } } };
  }
  return describeRoute({
    tags: [tag],
    summary,
    ...(description && { description }),
    responses,
    ...(open && { security: [] }),
  });
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
