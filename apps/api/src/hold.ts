import type { FieldIssue } from "@async-mail/domain/account";
import { type Instant, toSteadyMs } from "@async-mail/domain/time";
import * as v from "valibot";

export const HoldSchema = v.object({
  reason: v.nullish(v.string("Input should be a string")),
  until: v.nullish(
    v.union(
      [v.number(), v.pipe(v.string(), v.isoTimestamp())],
      "Input should be epoch seconds, or ISO 8601 with a time zone",
    ),
  ),
});

/** As of `deferred_ts`: more is a mistake, mostly milliseconds instead of seconds. */
const LONGEST_MS = 366 * 86_400_000;

type HoldEnd = { ok: true; steadyMs: number | null } | { ok: false; issue: FieldIssue };

/** Until when an account is held; null: until it is released. */
export function holdEnd(until: number | string | null, now: Instant): HoldEnd {
  if (until === null) return { ok: true, steadyMs: null };
  const wallMs = Math.floor(typeof until === "number" ? until * 1000 : Date.parse(until));
  if (Number.isFinite(wallMs) && wallMs > now.wallMs && wallMs <= now.wallMs + LONGEST_MS) {
    return { ok: true, steadyMs: toSteadyMs(wallMs, now) };
  }
  const wanted = "a time in the future, at most 366 days ahead: epoch seconds, or ISO 8601 with a time zone";
  // JSON has no infinity: shown as a text.
  const value = typeof until === "number" ? String(until) : JSON.stringify(until);
  return { ok: false, issue: { type: "value_error", loc: ["body", "until"], msg: `${value}, wanted ${wanted}` } };
}
