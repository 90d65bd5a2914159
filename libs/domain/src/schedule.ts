import * as v from "valibot";
import { type FieldIssue, fieldIssues } from "./issues.ts";
import { unknownFields } from "./unknown-fields.ts";

/** A polling rule, contract §3.6. Hours are of the configured time zone; `days` 0 is Monday. */
export type Rule = {
  id: number;
  name: string;
  enabled: boolean;
  /** Position; the first that matches wins. */
  priority: number;
  days: number[];
  startHour: number;
  endHour: number;
  crossMidnight: boolean;
  intervalMinutes: number;
};

export type NewRule = Omit<Rule, "id" | "priority">;

export type ParsedRule = { ok: true; rule: NewRule; warnings: string[] } | { ok: false; issues: FieldIssue[] };

const whole = (from: number, to: number) => {
  const wanted = `Input should be a whole number from ${from} to ${to}`;
  return v.pipe(v.number(wanted), v.integer(wanted), v.minValue(from, wanted), v.maxValue(to, wanted));
};

/** The body of POST /commands/rules, contract §3.6. */
export const RuleSchema = v.object({
  name: v.nullish(v.string("Input should be a valid string")),
  enabled: v.nullish(v.boolean("Input should be a valid boolean")),
  days: v.nullish(
    v.pipe(v.array(whole(0, 6), "Input should be a list"), v.description("0 is Monday; none: every day.")),
  ),
  start_hour: v.nullish(v.pipe(whole(0, 23), v.description("The first hour; absent: from midnight."))),
  end_hour: v.nullish(v.pipe(whole(0, 23), v.description("The first hour after it; absent: until midnight."))),
  cross_midnight: v.nullish(v.boolean("Input should be a valid boolean")),
  interval_minutes: v.nullish(whole(1, 525_600)),
});

const FIELDS = Object.keys(RuleSchema.entries);
const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6];

/** The body of POST /commands/rules, or one entry of `scheduler.rules`. */
export function parseRule(raw: unknown): ParsedRule {
  // To valibot a list is an object too, and this one needs no field.
  const parsed = v.safeParse(RuleSchema, Array.isArray(raw) ? null : raw);
  if (!parsed.success) return { ok: false, issues: fieldIssues(parsed.issues) };
  const { name, enabled, days, interval_minutes, ...hours } = parsed.output;
  const rule: NewRule = {
    name: name ?? "",
    enabled: enabled ?? true,
    days: days?.length ? [...new Set(days)].sort() : EVERY_DAY,
    startHour: hours.start_hour ?? 0,
    endHour: hours.end_hour ?? 0,
    crossMidnight: hours.cross_midnight ?? false,
    intervalMinutes: interval_minutes ?? 1,
  };
  const warnings = unknownFields(raw as object, FIELDS);
  if (!rule.crossMidnight && rule.startHour >= lastHour(rule)) {
    warnings.push(
      `the rule never matches: end_hour ${rule.endHour} is not after start_hour ${rule.startHour}; for a rule over midnight set cross_midnight`,
    );
  }
  return { ok: true, rule, warnings };
}

/** How often the client is polled now: by the first rule that matches, `fallbackMs` when there are no rules. Null: not now. */
export function pollIntervalMs(rules: Rule[], wallMs: number, timezone: string, fallbackMs: number): number | null {
  if (rules.length === 0) return fallbackMs;
  const local = localHour(wallMs, timezone);
  const inOrder = rules.toSorted((one, other) => one.priority - other.priority);
  const rule = inOrder.find((candidate) => candidate.enabled && matches(candidate, local));
  return rule === undefined ? null : rule.intervalMinutes * 60_000;
}

/** Up to, and not including, this hour of the same day. Without an end a rule lasts until midnight, hour 0 of the next. */
function lastHour({ endHour }: Pick<Rule, "endHour">): number {
  return endHour === 0 ? 24 : endHour;
}

type LocalHour = { day: number; hour: number };

/** From `startHour` up to, and not including, `endHour`. After midnight the day that counts is the one it began on. */
function matches(rule: Rule, { day, hour }: LocalHour): boolean {
  const { days, startHour, endHour, crossMidnight } = rule;
  if (!crossMidnight) return days.includes(day) && hour >= startHour && hour < lastHour(rule);
  const sinceToday = days.includes(day) && hour >= startHour && (startHour >= endHour || hour < endHour);
  const sinceYesterday = startHour >= endHour && days.includes((day + 6) % 7) && hour < endHour;
  return sinceToday || sinceYesterday;
}

const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

// Making one costs some 50 µs and kilobytes; a process has one time zone.
const formats = new Map<string, Intl.DateTimeFormat>();

function localHour(wallMs: number, timezone: string): LocalHour {
  let format = formats.get(timezone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: timezone,
      weekday: "short",
      hour: "2-digit",
      hourCycle: "h23",
    });
    formats.set(timezone, format);
  }
  const parts = format.formatToParts(wallMs);
  const part = (type: string) => parts.find((one) => one.type === type)!.value;
  return { day: DAYS.indexOf(part("weekday")), hour: Number(part("hour")) };
}
