import type { Store } from "@async-mail/db/store";
import { defaultAccount } from "@async-mail/domain/account";
import { parseRule } from "@async-mail/domain/schedule";
import type { Instant } from "@async-mail/domain/time";
import type { Config } from "@async-mail/runtime/config";

/** What the configuration puts into the database at a start: its own account always, the switch and the rules once. */
export async function seed(store: Store, config: Config, now: Instant): Promise<void> {
  await store.accounts.configureDefault(defaultAccount(config.smtp), now);
  await store.service.seedActive(config.scheduler.active);
  await store.rules.seed(config.scheduler.rules.map(ruleOf));
}

function ruleOf(raw: unknown, position: number) {
  const parsed = parseRule(raw);
  if (parsed.ok) return parsed.rule;
  const faults = parsed.issues.map(({ loc, msg }) => `${loc.join(".")}: ${msg}`).join("; ");
  throw new Error(`scheduler.rules: rule ${position + 1}: ${faults}`);
}
