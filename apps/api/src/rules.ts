import { parseRule, type Rule, RuleSchema } from "@async-mail/domain/schedule";
import { type Context, Hono } from "hono";
import * as v from "valibot";
import { notFound, success, unprocessable } from "./answers.ts";
import { inBody } from "./body.ts";
import type { Deps, Env } from "./deps.ts";
import { type Call, FailureSchema } from "./openapi.ts";

const SwitchSchema = v.object({ enabled: v.boolean("Input should be true or false") });

const RuleViewSchema = v.strictObject({
  id: v.number(),
  name: v.string(),
  enabled: v.boolean(),
  priority: v.number(),
  days: v.array(v.number()),
  start_hour: v.number(),
  end_hour: v.number(),
  cross_midnight: v.boolean(),
  interval_minutes: v.number(),
});
const RulesSchema = v.object({ ok: v.literal(true), rules: v.array(RuleViewSchema) });
const answers = { 200: RulesSchema, 404: FailureSchema, 422: FailureSchema };

/** When and how often the client is polled, contract §3.6. Each call answers all rules. */
export function ruleRoutes({ store, bodies }: Deps, call: Call): Hono<Env> {
  const app = new Hono<Env>();
  const all = async (c: Context<Env>) => success(c, { rules: (await store.rules.list()).map(toRuleView) });

  app.get(
    "/commands/rules",
    call("rules", { summary: "List the polling rules", access: "admin", answers: { 200: RulesSchema } }),
    all,
  );

  const adding = call("rules", {
    summary: "Add a polling rule, after the others",
    access: "admin",
    answers: { 200: RulesSchema, 422: FailureSchema },
  });
  app.post("/commands/rules", adding, bodies.object(RuleSchema), async (c) => {
    const parsed = parseRule(c.req.valid("json"));
    if (!parsed.ok) return unprocessable(c, inBody(parsed.issues));
    await store.rules.add(parsed.rule);
    c.set("warnings", parsed.warnings);
    return all(c);
  });

  const switching = call("rules", { summary: "Enable or disable a rule", access: "admin", answers });
  app.patch("/commands/rules/:id", switching, bodies.json(SwitchSchema), async (c) =>
    (await store.rules.setEnabled(ruleId(c), c.req.valid("json").enabled)) ? all(c) : notFound(c, "rule"),
  );

  app.delete("/commands/rules/:id", call("rules", { summary: "Delete a rule", access: "admin", answers }), async (c) =>
    (await store.rules.remove(ruleId(c))) ? all(c) : notFound(c, "rule"),
  );

  return app;
}

/** 0 is no rule's. */
function ruleId(c: Context<Env>): number {
  const text = c.req.param("id") ?? "";
  return /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

function toRuleView(rule: Rule): v.InferOutput<typeof RuleViewSchema> {
  return {
    id: rule.id,
    name: rule.name,
    enabled: rule.enabled,
    priority: rule.priority,
    days: rule.days,
    start_hour: rule.startHour,
    end_hour: rule.endHour,
    cross_midnight: rule.crossMidnight,
    interval_minutes: rule.intervalMinutes,
  };
}
