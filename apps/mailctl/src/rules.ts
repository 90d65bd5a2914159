import type { Argv } from "yargs";
import type { Body } from "./api.ts";
import type { Deps, Global } from "./deps.ts";
import { WrongUsage } from "./faults.ts";
import { onlyGiven, readJson, STDIN } from "./input.ts";
import { alone } from "./options.ts";
import { print, table, tellWarnings } from "./print.ts";

const PATH = "/commands/rules";
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/** When, and how often, the client is polled. */
export function ruleCommands(yargs: Argv<Global>, deps: Deps): Argv<Global> {
  return yargs.command("rules", "When the client is polled", (rules) =>
    rules
      .command("list", "All rules, in the order in which they are tried", alone, async (args) => {
        show(args, await (await deps.api(args)).get(PATH));
      })
      .command(
        "add [name]",
        "Add a rule after the others; - reads it as JSON from standard input",
        (one) =>
          one.positional("name", { type: "string", describe: "What people call it; - for JSON" }).options({
            days: { type: "string", describe: "Such as mon,tue or 0,1; 0 is Monday; absent: every day" },
            "start-hour": { type: "number", describe: "First hour, 0 to 23" },
            "end-hour": { type: "number", describe: "First hour after it, 0 to 23" },
            "cross-midnight": { type: "boolean", describe: "It ends on the day after" },
            "interval-minutes": { type: "number", describe: "How often while it holds" },
            disabled: { type: "boolean", describe: "Kept, but not used yet" },
          }),
        async (args) => {
          const body = args.name === STDIN ? await readJson(deps, "a rule") : toRule(args);
          show(args, await (await deps.api(args)).post(PATH, body));
        },
      )
      .command("enable <id>", "Use a rule again", numbered, (args) => setEnabled(args, true))
      .command("disable <id>", "Keep a rule, but do not use it", numbered, (args) => setEnabled(args, false))
      .command("delete <id>", "Delete a rule", numbered, async (args) => {
        show(args, await (await deps.api(args)).delete(`${PATH}/${args.id}`));
      })
      .demandCommand(1, "wanted: list, add, enable, disable or delete"),
  );

  function show(args: Global, answer: Body): void {
    tellWarnings(deps, answer);
    print(deps, args, answer, () => (answer.rules.length === 0 ? "no rules" : rulesTable(answer.rules)));
  }

  async function setEnabled(args: Global & { id: number }, enabled: boolean): Promise<void> {
    show(args, await (await deps.api(args)).patch(`${PATH}/${args.id}`, { enabled }));
  }
}

function numbered(yargs: Argv<Global>) {
  return yargs.positional("id", { type: "number", demandOption: true, describe: "As `rules list` shows it" });
}

function toRule(args: {
  name?: string | undefined;
  days?: string | undefined;
  startHour?: number | undefined;
  endHour?: number | undefined;
  crossMidnight?: boolean | undefined;
  intervalMinutes?: number | undefined;
  disabled?: boolean | undefined;
}): object {
  return onlyGiven({
    name: args.name,
    days: args.days === undefined ? undefined : args.days.split(",").map(dayOf),
    start_hour: args.startHour,
    end_hour: args.endHour,
    cross_midnight: args.crossMidnight,
    interval_minutes: args.intervalMinutes,
    enabled: args.disabled ? false : undefined,
  });
}

function dayOf(text: string): number {
  const word = text.trim().toLowerCase();
  const day = /^[0-6]$/.test(word) ? Number(word) : DAYS.indexOf(word.slice(0, 3));
  if (day === -1) throw new WrongUsage(`--days ${text}: wanted ${DAYS.join(", ")}, or 0 to 6`);
  return day;
}

function rulesTable(rules: Body[]): string {
  const hours = ({ start_hour, end_hour, cross_midnight }: Body) =>
    `${start_hour}–${end_hour === 0 ? 24 : end_hour}${cross_midnight ? " over midnight" : ""}`;
  const rows = rules.map((rule) => [
    rule.id,
    rule.enabled ? "yes" : "no",
    rule.days.length === 7 ? "every day" : rule.days.map((day: number) => DAYS[day]).join(","),
    hours(rule),
    `${rule.interval_minutes} min`,
    rule.name,
  ]);
  return table(["id", "enabled", "days", "hours", "every", "name"], rows);
}
