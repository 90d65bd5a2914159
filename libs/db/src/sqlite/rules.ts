import type { Rule } from "@async-mail/domain/schedule";
import type { Instant } from "@async-mail/domain/time";
import { asc, eq, max } from "drizzle-orm";
import type { RuleStore } from "../store.ts";
import type { Engine } from "./engine.ts";
import { rules } from "./schema.ts";

/** For works that take no note of the time. */
const NO_TIME: Instant = { wallMs: 0, steadyMs: 0 };

export function ruleStore({ writer, orm }: Engine): RuleStore {
  function append(rule: Omit<Rule, "id" | "priority">): void {
    const last =
      orm
        .select({ priority: max(rules.priority) })
        .from(rules)
        .get()?.priority ?? 0;
    orm
      .insert(rules)
      .values({ ...rule, priority: last + 1 })
      .run();
  }

  return {
    list: () => writer.read(() => orm.select().from(rules).orderBy(asc(rules.priority), asc(rules.id)).all()),
    add: (rule) => writer.write(NO_TIME, () => append(rule)),
    seed: (all) =>
      writer.write(NO_TIME, (tx) => {
        const service = tx.service();
        if (service.rulesSeeded) return;
        service.rulesSeeded = 1;
        if (orm.select().from(rules).limit(1).get() === undefined) all.forEach(append);
      }),
    setEnabled: (id, enabled) =>
      writer.write(NO_TIME, () => orm.update(rules).set({ enabled }).where(eq(rules.id, id)).run().changes === 1),
    remove: (id) => writer.write(NO_TIME, () => orm.delete(rules).where(eq(rules.id, id)).run().changes === 1),
  };
}
