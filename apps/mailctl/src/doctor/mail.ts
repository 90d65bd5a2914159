import type { Inspection } from "@async-mail/db/sqlite/inspect";
import type { Config } from "@async-mail/runtime/config";
import { type Finding, ok, problem } from "./finding.ts";

/** What keeps mail from leaving that no account's state says. */
export async function checkMail(
  file: Pick<Inspection, "store" | "suspended">,
  { delivery }: Config,
  now: { wallMs: number; steadyMs: number },
): Promise<Finding[]> {
  const suspended = file.suspended().map((one) => {
    if (one.what === "service")
      return problem("suspended", "the service is suspended: nothing is sent, and nobody polled", "mailctl activate");
    if (one.what === "batch")
      return problem(
        "suspended",
        `batch ${one.batch} of the tenant ${one.tenant} is suspended`,
        `mailctl activate --tenant ${one.tenant} --batch ${one.batch}`,
      );
    if (one.why === "not active")
      return problem(
        "suspended",
        `the tenant ${one.tenant} is not active`,
        `mailctl tenants change ${one.tenant} --active`,
      );
    return problem("suspended", `the tenant ${one.tenant} is suspended`, `mailctl activate --tenant ${one.tenant}`);
  });
  const stall = await file.store.service.stalled(delivery.stalledAfterSeconds * 1000, now);
  if (stall === null) return [...suspended, ok("mail", "nothing has waited longer than it should")];
  const stalled = problem(
    "mail",
    `mail of ${stall.accounts.slice(0, 5).join(", ")} could have gone out ${Math.round(stall.oldestMs / 1000)} s ago, and nobody tries to send it: ${stall.reason}`,
    stall.reason.startsWith("missing account")
      ? "set [smtp] in the configuration again"
      : "start a dispatcher, or one more: npm run dispatcher",
  );
  return [...suspended, stalled];
}
