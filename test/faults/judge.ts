import { isDeepStrictEqual } from "node:util";
import type { Expected, FaultCase } from "./fault-case.ts";
import type { Observed } from "./observe.ts";

/** All in which what was seen differs from what must be; an empty list: nothing. */
export function differences({ expected, unquoted = [] }: FaultCase, observed: Observed): string[] {
  const faults = [
    ...ofMessage(expected, observed),
    ...ofAccount(expected, observed),
    ...ofOther(expected, observed),
    ...ofReports(expected, observed),
    ...ofServer(expected, observed),
  ];
  const shown = JSON.stringify([observed.faulty, observed.other, observed.account, observed.reports]);
  for (const word of unquoted) if (shown.includes(word)) faults.push(`"${word}" is quoted`);
  return faults;
}

function ofMessage(expected: Expected, { faulty, account }: Observed): string[] {
  const outcomes = faulty.history.map(({ outcome }) => outcome);
  const text = faulty.error ?? faulty.deferred_reason ?? "";
  const wasHeld = expected.account === "held";
  return [
    ...differs("status", faulty.status, expected.status),
    ...(expected.text && !expected.text.test(text) ? [`text "${text}", wanted ${expected.text}`] : []),
    ...differs("attempts", faulty.attempts, expected.attempts),
    // A held account's probes take turns for as long as anybody looks.
    ...differs("history", wasHeld ? [...new Set(outcomes)] : outcomes, expected.history),
    ...differs("recipients", counted(faulty.recipients), expected.recipients),
    ...(faulty.status === "deferred" ? ofWait(expected, faulty) : []),
    ...(wasHeld ? differs("waiting", faulty.waiting?.reason, `account held: ${account.reason}`) : []),
  ];
}

/** Whoever waits has a reason and a next time. */
function ofWait({ account }: Expected, { waiting, deferred_reason = "", deferred_ts, history }: Observed["faulty"]) {
  const isOfItsClass = deferred_reason.startsWith(account === "held" ? "held: " : "retry: ");
  return [
    ...(isOfItsClass ? [] : [`deferred_reason "${deferred_reason}"`]),
    ...(waiting?.until && deferred_ts ? [] : ["it waits without a next time"]),
    ...(history.at(-1)?.until ? [] : ["the history does not say until when"]),
  ];
}

function ofAccount(expected: Expected, { account }: Observed): string[] {
  const faults = differs("account", account.state, expected.account);
  if (expected.account === "ready") return faults;
  if (!expected.text?.test(account.reason ?? "")) faults.push(`the account's reason "${account.reason}"`);
  if (!account.until) faults.push("the account is held without a next time");
  return faults;
}

function ofOther(expected: Expected, { other, faulty, account, transactions, reports }: Observed): string[] {
  if (expected.other === "sent") {
    const whole = transactions.other.filter((one) => one.answered?.startsWith("2")).length;
    return [...differs("the other", other.status, "sent"), ...differs("copies of the other", whole, 1)];
  }
  const [first] = other.history;
  const heldUntil = faulty.history[0]?.until ?? "";
  return [
    ...differs("the other waits", other.waiting?.reason, `account held: ${account.reason}`),
    ...differs("attempts of the other", other.attempts, 0),
    ...(first !== undefined && first.at < heldUntil ? ["the other was tried before the hold had ended"] : []),
    ...(first === undefined && reports.other.length > 0 ? ["the other was reported though it only waits"] : []),
  ];
}

/** Its last state once, and each class of deferral at most once. */
function ofReports(expected: Expected, { reports: { faulty: items }, faulty }: Observed): string[] {
  const states = items.map((item) => (item.sent_ts ? "sent" : item.error_ts ? "error" : "deferred"));
  const deferred = items.filter((item) => item.deferred_ts);
  const last = items.at(-1);
  const faults = differs("the last report", states.at(-1), expected.status);
  if (last?.error && last.error !== faulty.error) faults.push(`reported error "${last.error}"`);
  if (expected.status !== "deferred") {
    faults.push(...differs("final reports", states.filter((state) => state !== "deferred").length, 1));
    faults.push(...differs("reported recipients", last?.recipients, faulty.recipients));
    if (!faulty.reported_ts) faults.push("reported_ts is not set");
  }
  const classes = deferred.map((item) => item.deferred_reason?.split(":")[0]);
  if (new Set(classes).size < classes.length) faults.push(`deferrals reported: ${classes}`);
  return faults;
}

function ofServer(expected: Expected, { transactions, faulty, senders, commands }: Observed): string[] {
  const whole = transactions.faulty.filter((one) => one.whole);
  const isAskedAgain = expected.account === "held" && expected.recipients.accepted === undefined;
  const attempts = isAskedAgain ? faulty.history.length : 1;
  const ids = new Set(whole.map((one) => `${one.messageId} ${one.date}`));
  const envelopes = transactions.faulty.map(({ recipients }) => recipients.map((one) => one.split("@")[0]));
  const said = commands.find((line) => expected.neverSaid?.test(line));
  return [
    ...differs("copies at the server", whole.length, expected.taken * attempts),
    ...(ids.size > 1 ? [`copies differ: ${[...ids]}`] : []),
    ...(expected.envelopes ? differs("envelopes", envelopes, expected.envelopes) : []),
    ...(expected.firstSenders
      ? differs("order", senders.slice(0, expected.firstSenders.length), expected.firstSenders)
      : []),
    ...(said === undefined ? [] : [`"${said}" was said`]),
  ];
}

export function counted(recipients: { outcome: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of recipients) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

function differs(what: string, seen: unknown, wanted: unknown): string[] {
  if (isDeepStrictEqual(seen, wanted)) return [];
  return [`${what}: ${JSON.stringify(seen)}, wanted ${JSON.stringify(wanted)}`];
}
