import type { Store } from "@async-mail/db/store";
import { parseRule } from "@async-mail/domain/schedule";

type Seeds = { active: boolean; rules: readonly unknown[] };

/** Writes the first start's switch and rules, unless another process has: any of them may be started first. */
export async function seed({ service, rules }: Pick<Store, "service" | "rules">, scheduler: Seeds): Promise<void> {
  const parsed = scheduler.rules.map((raw, i) => {
    const result = parseRule(raw);
    if (result.ok) return result.rule;
    const faults = result.issues.map(({ loc, msg }) => `scheduler.rules ${[i, ...loc].join(".")}: ${msg}`);
    throw new Error(faults.join("; "));
  });
  await service.seedActive(scheduler.active);
  await rules.seed(parsed);
}
