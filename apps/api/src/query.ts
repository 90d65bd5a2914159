import { fieldIssues } from "@async-mail/domain/issues";
import { unknownFields } from "@async-mail/domain/unknown-fields";
import type { MiddlewareHandler } from "hono";
import { resolver, uniqueSymbol } from "hono-openapi";
import * as v from "valibot";
import { unprocessable } from "./answers.ts";
import type { Env } from "./deps.ts";

type Checked<T> = MiddlewareHandler<Env, string, { in: { query: Record<string, string> }; out: { query: T } }>;

/** Checks the query by `schema`, and documents it. A parameter given twice counts once: the first. */
export function query<S extends v.ObjectSchema<v.ObjectEntries, undefined>>(schema: S): Checked<v.InferOutput<S>> {
  const names = Object.keys(schema.entries);
  const middleware: Checked<v.InferOutput<S>> = async (c, next) => {
    const given = c.req.query();
    const parsed = v.safeParse(schema, given);
    if (!parsed.success) {
      return unprocessable(
        c,
        fieldIssues(parsed.issues).map((issue) => ({ ...issue, loc: ["query", ...issue.loc] })),
      );
    }
    c.set("warnings", unknownFields(given, c.get("scope") === undefined ? names : [...names, "tenant_id"]));
    c.req.addValidatedData("query", parsed.output as object);
    return next();
  };
  return Object.assign(middleware, { [uniqueSymbol]: { target: "query", ...resolver(schema) } });
}
