import type * as v from "valibot";
import { quote } from "./read.ts";

/** What is wrong with one field; `loc` is its path within the object that was parsed. `type` is FastAPI's word. */
export type FieldIssue = { type: string; loc: (string | number)[]; msg: string };

const TYPES: Record<string, string> = {
  string: "string_type",
  number: "float_type",
  boolean: "bool_type",
  array: "list_type",
  object: "dict_type",
  strict_object: "dict_type",
  loose_object: "dict_type",
  record: "dict_type",
  integer: "int_type",
  picklist: "literal_error",
};

/** Valibot's issues as the contract's `detail` shows them. A required field that is null counts as missing. */
export function fieldIssues(issues: readonly v.BaseIssue<unknown>[]): FieldIssue[] {
  return issues.map((issue) => {
    const loc = pathOf(issue);
    const missing = loc.length > 0 && (issue.received === "undefined" || issue.received === "null");
    if (missing) return { type: "missing", loc, msg: "Field required" };
    return { type: TYPES[issue.type] ?? "value_error", loc, msg: issue.message };
  });
}

export function pathOf(issue: v.BaseIssue<unknown>): (string | number)[] {
  return (issue.path ?? []).map(({ key }) => key as string | number);
}

/** `attachments[1].content`, as a person would write it. */
export function pathText(path: readonly (string | number)[]): string {
  return path
    .map((key, depth) => (typeof key === "number" ? `[${key}]` : `${depth === 0 ? "" : "."}${nameText(key)}`))
    .join("");
}

/** A client's own key may be anything. */
function nameText(key: string): string {
  return /^[\x21-\x7e]{1,100}$/.test(key) ? key : quote(key);
}
