import type { Inspection } from "@async-mail/db/sqlite/inspect";
import type { AccountRecord } from "@async-mail/db/store";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import { isoTime } from "@async-mail/runtime/clock";
import type { Api } from "../api.ts";
import { Unreachable } from "../faults.ts";
import { tryConnect } from "./connect.ts";
import { type Finding, note, ok, problem } from "./finding.ts";
import { sideBySide } from "./side-by-side.ts";

export type AccountChecks = {
  file: Pick<Inspection, "store" | "tenants" | "heldByOperator">;
  /** Null: no login can be tried, since the API or a dispatcher is missing. */
  api: Api | null;
  now: { wallMs: number; steadyMs: number };
  timeoutMs: number;
};

/** `argument`: as a command takes it. */
type Found = { tenant: string; tenantId: string; name: string; argument: string; record: AccountRecord };

/** What its state says, and each step of a login as far as one can be tried. */
export async function checkAccounts(checks: AccountChecks): Promise<Finding[]> {
  const held = checks.file.heldByOperator();
  const accounts = await allAccounts(checks);
  if (accounts.length === 0)
    return [
      problem("accounts", "there is no account to send by", "set [smtp] in the configuration, or mailctl accounts add"),
    ];
  return (await sideBySide(accounts, (one) => checkAccount(checks, one, held))).flat();
}

async function allAccounts({ file, now }: AccountChecks): Promise<Found[]> {
  const found: Found[] = [];
  for (const { tenant, id } of await file.tenants.list())
    for (const record of await file.store.accountsOf(tenant)(now)) {
      const account = record.account.id;
      const [name, argument] =
        id === DEFAULT_TENANT ? [account, account] : [`${id}/${account}`, `${account} --tenant ${id}`];
      found.push({ tenant, tenantId: id, name, argument, record });
    }
  return found;
}

async function checkAccount(checks: AccountChecks, one: Found, held: Set<string>): Promise<Finding[]> {
  const { tenant, name, record } = one;
  const byOperator = held.has(`${tenant}/${record.account.id}`);
  const standing = standingOf(one, byOperator);
  const failure = await tryOut(checks, one, byOperator);
  if (failure !== null) return [...standing, failure];
  const tried =
    checks.api === null || byOperator ? "its server takes connections; the login was not tried" : "its login works";
  return [
    ...standing,
    ok("account", `${name}: ${tried}${checks.api === null ? ", since that takes the api and a dispatcher" : ""}`),
  ];
}

function standingOf({ name, record, argument }: Found, byOperator: boolean): Finding[] {
  const { state, reason, untilMs, slowed, pending } = record;
  const until = untilMs === null ? "" : ` until ${isoTime(untilMs)}`;
  const waiting = `, ${pending} unsent`;
  const findings: Finding[] = [];
  if (byOperator)
    findings.push(
      problem(
        "account",
        `${name} is held${until}: ${reason}${waiting}`,
        `mailctl accounts release ${argument} when its mail may go out`,
      ),
    );
  else if (state === "held")
    findings.push(
      problem(
        "account",
        `${name} is held${until} since its server refused it: ${reason}${waiting}`,
        `mend that; mailctl accounts verify ${argument} then ends the hold at once`,
      ),
    );
  if (state === "limited") findings.push(note("account", `${name} is at its limit of ${reason}${until}${waiting}`));
  if (slowed !== null)
    findings.push(note("account", `${name} goes slowly, since its server found it too fast: ${slowed.reason}`));
  return findings;
}

/** DNS and TCP from here, the rest by a dispatcher, since that logs in as it does for mail. Null: all of it works. */
async function tryOut(
  { api, timeoutMs }: AccountChecks,
  { tenantId, name, record }: Found,
  byOperator: boolean,
): Promise<Finding | null> {
  const { host, port, id } = record.account;
  const failure = await tryConnect({ host, port, tls: false }, timeoutMs);
  if (failure !== null) return problem("account", `${name}: ${failure.step}: ${failure.text}`, TODOS[failure.step]);
  // A login that works would end an operator's hold.
  if (api === null || byOperator) return null;
  const why = await loginFault(api, id, tenantId, timeoutMs);
  if (why === null) return null;
  const step = stepOf(why);
  return problem("account", `${name}: ${step}: ${why}`, TODOS[step]);
}

async function loginFault(api: Api, id: string, tenantId: string, timeoutMs: number): Promise<string | null> {
  const query = tenantId === DEFAULT_TENANT ? {} : { tenant_id: tenantId };
  try {
    const path = `/account/${encodeURIComponent(id)}/verify`;
    const { status, body } = await api.ask("POST", path, { query, timeoutMs });
    return status === 200 ? null : String(body?.error ?? `HTTP ${status}`);
  } catch (error) {
    if (error instanceof Unreachable) return `the login was not answered within ${timeoutMs / 1000} s`;
    throw error;
  }
}

const TODOS = {
  DNS: "check the spelling of its host, and the name server of this machine",
  TCP: "check its host and port, whether the server runs, and the firewall between",
  TLS: "check its port and security; tls_ca serves a private CA, tls_servername another name in the certificate",
  login: "check its user and password: mailctl accounts add puts new ones, of the account default [smtp] holds them",
} as const;

/** In which step a dispatcher's words say that it failed. */
function stepOf(text: string): keyof typeof TODOS {
  if (/no address for this name|name has no address/.test(text)) return "DNS";
  if (/TLS|starttls/i.test(text)) return "TLS";
  return /no connection|greet|closed before/.test(text) ? "TCP" : "login";
}
