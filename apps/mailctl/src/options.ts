import type { Argv } from "yargs";
import type { Global } from "./deps.ts";

/** Options that several commands have. */

export const tenantOption = {
  tenant: { type: "string", describe: "Whose it is, of several applications (tenant_id)" },
} as const;

export function ofTenant(yargs: Argv<Global>) {
  return yargs.options(tenantOption);
}

/** For commands that have no options of their own. */
export function alone(yargs: Argv<Global>) {
  return yargs;
}

export const limitOptions = {
  "limit-per-minute": { type: "number", describe: "Messages in any 60 s; 0: no limit" },
  "limit-per-hour": { type: "number", describe: "Messages in any hour; 0: no limit" },
  "limit-per-day": { type: "number", describe: "Messages in any 24 h; 0: no limit" },
  "limit-recipients-per-day": { type: "number", describe: "Recipients in any 24 h; 0: no limit" },
} as const;

export type Limits = {
  limitPerMinute?: number | undefined;
  limitPerHour?: number | undefined;
  limitPerDay?: number | undefined;
  limitRecipientsPerDay?: number | undefined;
};

/** As the API names them. */
export function limitFields({ limitPerMinute, limitPerHour, limitPerDay, limitRecipientsPerDay }: Limits) {
  return {
    limit_per_minute: limitPerMinute,
    limit_per_hour: limitPerHour,
    limit_per_day: limitPerDay,
    limit_recipients_per_day: limitRecipientsPerDay,
  };
}
