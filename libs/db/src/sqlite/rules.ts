import type { Rule } from "@async-mail/domain/schedule";
import type { Database } from "better-sqlite3";
import type { RuleStore } from "../store.ts";
import type { Engine } from "./engine.ts";
import { columnsOf, statement } from "./statement.ts";
import type { Tx } from "./tx.ts";
import { NO_TIME } from "./writer.ts";

/** As SQLite gives it: booleans are 0 and 1, days a JSON list. */
type RuleRow = Omit<Rule, "enabled" | "crossMidnight" | "days"> & {
  enabled: number;
  crossMidnight: number;
  days: string;
};

const LIST = (db: Database) => `SELECT ${columnsOf(db, "rules", "r")} FROM rules r ORDER BY r.priority, r.id`;
const ADD =
  "INSERT INTO rules (name, enabled, priority, days, start_hour, end_hour, cross_midnight, interval_minutes) " +
  "SELECT @name, @enabled, coalesce(max(priority), 0) + 1, @days, @startHour, @endHour, @crossMidnight, @intervalMinutes FROM rules";
const ENABLE = "UPDATE rules SET enabled = ? WHERE id = ?";
const REMOVE = "DELETE FROM rules WHERE id = ?";

export function ruleStore({ db, writer }: Engine): RuleStore {
  return {
    list: () => writer.read(() => statement<RuleRow>(db, LIST).all().map(toRule)),
    add: (rule) => writer.write(NO_TIME, (tx) => append(tx, rule)),
    seed: (rules) =>
      writer.write(NO_TIME, (tx) => {
        const service = tx.service();
        if (service.rulesSeeded) return;
        service.rulesSeeded = 1;
        if (statement(tx.db, LIST).get() === undefined) for (const rule of rules) append(tx, rule);
      }),
    setEnabled: (id, enabled) =>
      writer.write(NO_TIME, (tx) => statement(tx.db, ENABLE).run(enabled ? 1 : 0, id).changes === 1),
    remove: (id) => writer.write(NO_TIME, (tx) => statement(tx.db, REMOVE).run(id).changes === 1),
  };
}

function toRule(row: RuleRow): Rule {
  return { ...row, enabled: row.enabled === 1, crossMidnight: row.crossMidnight === 1, days: JSON.parse(row.days) };
}

function append(tx: Tx, rule: Omit<Rule, "id" | "priority">): void {
  statement(tx.db, ADD).run({
    ...rule,
    enabled: Number(rule.enabled),
    crossMidnight: Number(rule.crossMidnight),
    days: JSON.stringify(rule.days),
  });
}
