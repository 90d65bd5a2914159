import assert from "node:assert/strict";
import { test } from "node:test";
import { type NewRule, parseRule, pollIntervalMs, type Rule } from "@async-mail/domain/schedule";

function parsed(raw: unknown): NewRule {
  const answer = parseRule(raw);
  assert.ok(answer.ok, answer.ok ? "" : JSON.stringify(answer.issues));
  return answer.rule;
}

function rule(fields: object, more: Partial<Rule> = {}): Rule {
  return { id: 1, priority: 0, ...parsed({ interval_minutes: 5, ...fields }), ...more };
}

/** Times of the tables are written as UTC. */
function interval(rules: Rule[], iso: string, timezone = "UTC"): number | null {
  return pollIntervalMs(rules, Date.parse(iso), timezone, 300_000);
}

test("rule: defaults", () => {
  const every = [0, 1, 2, 3, 4, 5, 6];
  const fields = { name: "office", days: [4, 0, 0], start_hour: 8, end_hour: 18 };
  const hours = { startHour: 8, endHour: 18, crossMidnight: false };
  assert.deepEqual(parsed(fields), { name: "office", enabled: true, days: [0, 4], ...hours, intervalMinutes: 1 });
  for (const days of [undefined, null, []]) assert.deepEqual(parsed({ days }).days, every);
  assert.deepEqual(parsed({}), {
    name: "",
    enabled: true,
    days: every,
    startHour: 0,
    endHour: 0,
    crossMidnight: false,
    intervalMinutes: 1,
  });
});

test("rule: what is wrong is named", () => {
  const fieldsOf = (raw: unknown) => {
    const answer = parseRule(raw);
    return answer.ok ? [] : answer.issues.map(({ loc }) => loc.join("."));
  };
  assert.deepEqual(fieldsOf({ days: [7] }), ["days.0"]);
  assert.deepEqual(fieldsOf({ days: "1" }), ["days"]);
  assert.deepEqual(fieldsOf({ start_hour: 24, end_hour: -1 }), ["start_hour", "end_hour"]);
  assert.deepEqual(fieldsOf({ start_hour: 1.5 }), ["start_hour"]);
  assert.deepEqual(fieldsOf({ interval_minutes: 0 }), ["interval_minutes"]);
  assert.deepEqual(fieldsOf({ enabled: "yes" }), ["enabled"]);
  for (const raw of [[], null, "x"]) assert.deepEqual(fieldsOf(raw), [""]);
});

test("rule: unknown fields, and hours that never match, are warnings", () => {
  const answer = parseRule({ start_hour: 22, end_hour: 6, intervalMinutes: 5 });
  assert.deepEqual(answer.ok && answer.warnings, [
    'unknown field "intervalMinutes", did you mean "interval_minutes"?',
    "the rule never matches: end_hour 6 is not after start_hour 22; for a rule over midnight set cross_midnight",
  ]);
});

test("poll: without rules the configured interval counts, with none matching there is no poll", () => {
  assert.equal(interval([], "2026-11-25T12:00:00Z"), 300_000);
  assert.equal(interval([rule({}, { enabled: false })], "2026-11-25T12:00:00Z"), null);
});

test("poll: from the first hour up to, and not including, the last", () => {
  const rules = [rule({ start_hour: 8, end_hour: 18 })];
  assert.equal(interval(rules, "2026-11-25T07:59:59Z"), null);
  assert.equal(interval(rules, "2026-11-25T08:00:00Z"), 300_000);
  assert.equal(interval(rules, "2026-11-25T17:59:59Z"), 300_000);
  assert.equal(interval(rules, "2026-11-25T18:00:00Z"), null);
});

test("poll: without an end a rule lasts until midnight, on its own days", () => {
  for (const more of [{}, { end_hour: 0 }]) {
    const evening = [rule({ days: [4], start_hour: 20, ...more })];
    assert.equal(interval(evening, "2026-11-27T19:59:59Z"), null);
    assert.equal(interval(evening, "2026-11-27T20:00:00Z"), 300_000);
    assert.equal(interval(evening, "2026-11-27T23:59:59Z"), 300_000);
    assert.equal(interval(evening, "2026-11-28T00:00:00Z"), null, "Saturday");
  }
  const wholeDay = [rule({ days: [4] })];
  assert.equal(interval(wholeDay, "2026-11-27T00:00:00Z"), 300_000);
  assert.equal(interval(wholeDay, "2026-11-27T23:59:59Z"), 300_000);
  assert.equal(interval(wholeDay, "2026-11-28T00:00:00Z"), null);
});

test("poll: days, 0 is Monday", () => {
  const rules = [rule({ days: [0] })];
  assert.equal(interval(rules, "2026-11-23T12:00:00Z"), 300_000);
  assert.equal(interval(rules, "2026-11-22T12:00:00Z"), null);
  assert.equal(interval(rules, "2026-11-24T00:00:00Z"), null);
  assert.equal(interval([rule({ days: [6] })], "2026-11-22T12:00:00Z"), 300_000);
});

test("poll: after midnight the day that counts is the one the rule began on", () => {
  const rules = [rule({ days: [4], start_hour: 22, end_hour: 6, cross_midnight: true })];
  assert.equal(interval(rules, "2026-11-27T21:59:59Z"), null, "Friday before");
  assert.equal(interval(rules, "2026-11-27T22:00:00Z"), 300_000, "Friday night");
  assert.equal(interval(rules, "2026-11-28T05:59:59Z"), 300_000, "Saturday morning, begun on Friday");
  assert.equal(interval(rules, "2026-11-28T06:00:00Z"), null, "Saturday after");
  assert.equal(interval(rules, "2026-11-28T22:00:00Z"), null, "Saturday night");
  assert.equal(interval(rules, "2026-11-27T05:00:00Z"), null, "Friday morning, begun on Thursday");
  assert.equal(
    interval([rule({ days: [6], start_hour: 22, end_hour: 6, cross_midnight: true })], "2026-11-23T03:00:00Z"),
    300_000,
    "Monday, begun on Sunday",
  );
});

test("poll: cross_midnight where nothing crosses it is an ordinary rule; equal hours are a whole day", () => {
  const daytime = [rule({ start_hour: 8, end_hour: 18, cross_midnight: true })];
  assert.equal(interval(daytime, "2026-11-25T03:00:00Z"), null);
  assert.equal(interval(daytime, "2026-11-25T12:00:00Z"), 300_000);
  const fromNine = [rule({ days: [2], start_hour: 9, end_hour: 9, cross_midnight: true })];
  assert.equal(interval(fromNine, "2026-11-25T08:00:00Z"), null);
  assert.equal(interval(fromNine, "2026-11-25T09:00:00Z"), 300_000);
  assert.equal(interval(fromNine, "2026-11-26T08:00:00Z"), 300_000);
});

test("poll: the first enabled rule by priority that matches wins", () => {
  const rules = [
    rule({ interval_minutes: 3 }, { id: 3, priority: 2 }),
    rule({ interval_minutes: 1 }, { id: 1, priority: 0, enabled: false }),
    rule({ interval_minutes: 2, start_hour: 8, end_hour: 18 }, { id: 2, priority: 1 }),
  ];
  assert.equal(interval(rules, "2026-11-25T12:00:00Z"), 2 * 60_000);
  assert.equal(interval(rules, "2026-11-25T20:00:00Z"), 3 * 60_000);
});

test("poll: hours and days are those of the time zone, summer time included", () => {
  const rules = [rule({ days: [0], start_hour: 0, end_hour: 1 })];
  assert.equal(interval(rules, "2026-11-22T23:30:00Z", "Europe/Rome"), 300_000, "Monday 00:30 in Rome");
  assert.equal(interval(rules, "2026-11-23T00:30:00Z", "Europe/Rome"), null, "Monday 01:30 in Rome");
  assert.equal(interval(rules, "2026-07-05T22:30:00Z", "Europe/Rome"), 300_000, "in summer Rome is an hour further");
  assert.equal(interval(rules, "2026-11-23T05:30:00Z", "America/New_York"), 300_000);
  assert.equal(interval(rules, "2026-11-22T18:15:00Z", "Asia/Kathmandu"), 300_000);
});
