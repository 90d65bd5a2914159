import { type NewRule, parseRule } from "@async-mail/domain/schedule";
import type { Store } from "./store.ts";

/**
 * Writes the configuration's switch and rules at the first start of all; nothing afterwards, when they belong to the
 * API's calls. Any process may be the first. Throws what is wrong with a rule.
 */
export async function seedScheduler(
  { service, rules }: Pick<Store, "service" | "rules">,
  configured: { active: boolean; rules: readonly unknown[] },
): Promise<void> {
  const parsed = configured.rules.map(readRule);
  await service.seedActive(configured.active);
  await rules.seed(parsed);
}

function readRule(raw: unknown, position: number): NewRule {
  const result = parseRule(raw);
  if (result.ok) return result.rule;
  const faults = result.issues.map(({ loc, msg }) => `scheduler.rules ${[position, ...loc].join(".")}: ${msg}`);
  throw new Error(faults.join("; "));
}
