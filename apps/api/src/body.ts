import type { IncomingMessage } from "node:http";
import { type FieldIssue, fieldIssues } from "@async-mail/domain/issues";
import { unknownFields } from "@async-mail/domain/unknown-fields";
import type { Context, MiddlewareHandler } from "hono";
import { resolver, uniqueSymbol } from "hono-openapi";
import * as v from "valibot";
import { failure, unavailable, unprocessable } from "./answers.ts";
import type { Deps, Env } from "./deps.ts";
import { type BodyLimits, createReceiver } from "./receive.ts";
import { decideScopeOfBody } from "./scope.ts";

type Fields = v.ObjectEntries;
type ObjectSchema = v.ObjectSchema<Fields, undefined>;
type Accepts<T> = MiddlewareHandler<Env, string, { in: { json: T }; out: { json: T } }>;

/** Reads and checks the JSON bodies of requests; one for the process, since it bounds what all of them hold in memory. */
export type Bodies = {
  /** The body by `schema`, which documents it too; `shown` documents more closely what the handler itself parses. */
  json<S extends ObjectSchema>(schema: S, shown?: v.GenericSchema): Accepts<v.InferOutput<S>>;
  /** Any object, which the handler has the domain parse. */
  object(shown: v.GenericSchema): Accepts<Record<string, unknown>>;
};

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;

export function createBodies(limits: BodyLimits, deps: Pick<Deps, "store">): Bodies {
  const receive = createReceiver(limits);

  async function read(c: Context<Env>): Promise<{ object: Record<string, unknown> } | { refused: Response }> {
    const { incoming, outgoing } = c.env;
    if (hasBody(incoming) && !JSON_TYPE.test(incoming.headers["content-type"] ?? "")) {
      return refused(c, { type: "content_type", loc: ["body"], msg: "Content-Type must be application/json" });
    }
    const received = await receive(incoming, outgoing);
    if (received === "too large") {
      return {
        refused: failure(c, 413, `request body is larger than ${limits.maxBodyBytes} bytes (server.max_body_bytes)`),
      };
    }
    if (received === "busy") return { refused: unavailable(c, "too many bytes of requests in flight", 1) };
    if (received === "gone") return { refused: failure(c, 400, "the request ended before its body did") };
    const parsed = parseObject(c, received);
    if ("refused" in parsed) return parsed;
    const refusal = await decideScopeOfBody(deps, c, parsed.object.tenant_id);
    return refusal === null ? parsed : { refused: refusal };
  }

  function json<S extends ObjectSchema>(schema: S, shown: v.GenericSchema = schema): Accepts<v.InferOutput<S>> {
    const known = Object.keys(schema.entries);
    const names = (c: Context<Env>) => (c.get("scope") === undefined ? known : [...known, "tenant_id"]);
    return documented(shown, async (c, next) => {
      const body = await read(c);
      if ("refused" in body) return body.refused;
      const parsed = v.safeParse(schema, body.object);
      if (!parsed.success) return unprocessable(c, inBody(fieldIssues(parsed.issues)));
      c.set("warnings", unknownFields(body.object, names(c)));
      c.req.addValidatedData("json", parsed.output);
      return next();
    });
  }

  function object(shown: v.GenericSchema): Accepts<Record<string, unknown>> {
    return documented(shown, async (c, next) => {
      const body = await read(c);
      if ("refused" in body) return body.refused;
      c.req.addValidatedData("json", body.object);
      return next();
    });
  }

  return { json, object };
}

export function inBody(issues: FieldIssue[]): FieldIssue[] {
  return issues.map((issue) => ({ ...issue, loc: ["body", ...issue.loc] }));
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

/** An empty body is an empty object: what is required is then named as missing. */
function parseObject(c: Context<Env>, bytes: Buffer): { object: Record<string, unknown> } | { refused: Response } {
  let value: unknown;
  try {
    value = bytes.length === 0 ? {} : JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    return refused(c, { type: "json_invalid", loc: ["body"], msg: `JSON decode error: ${(error as Error).message}` });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return refused(c, { type: "dict_type", loc: ["body"], msg: "Input should be an object" });
  }
  return { object: value as Record<string, unknown> };
}

function refused(c: Context<Env>, issue: FieldIssue): { refused: Response } {
  return { refused: unprocessable(c, [issue]) };
}

/** The mark by which hono-openapi finds what a middleware validates. */
function documented<T>(shown: v.GenericSchema, middleware: Accepts<T>): Accepts<T> {
  return Object.assign(middleware, { [uniqueSymbol]: { target: "json", ...resolver(shown) } });
}
