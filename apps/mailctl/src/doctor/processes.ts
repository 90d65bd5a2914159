import { hostname } from "node:os";
import type { Inspection } from "@async-mail/db/sqlite/inspect";
import type { ProcessKind, ProcessRecord } from "@async-mail/db/store";
import type { Config } from "@async-mail/runtime/config";
import { listeningUrls } from "@async-mail/runtime/listening";
import { type Api, createApi } from "../api.ts";
import { Unreachable } from "../faults.ts";
import { type Finding, ok, problem, skipped } from "./finding.ts";

const WITHOUT: Record<ProcessKind, string> = {
  api: "no api is running: nothing is accepted",
  dispatcher: "no dispatcher is running: nothing is sent",
  reporter: "no reporter is running: nothing is reported, and nothing is tidied up",
};

export type Alive = { dispatcher: boolean };

/** By the rows in which they show life, and by asking each of them. */
export async function checkProcesses(
  file: Pick<Inspection, "store">,
  config: Config,
  nowMs: number,
  timeoutMs: number,
): Promise<{ alive: Alive; findings: Finding[] }> {
  const leaseMs = config.delivery.leaseSeconds * 1000;
  const rows = await file.store.processes.list();
  const living = rows.filter(({ seenMs }) => nowMs - seenMs < leaseMs);
  const silent = rows.filter((row) => !living.includes(row));
  const kinds: ProcessKind[] = ["api", "dispatcher", "reporter"];
  const missing = kinds
    .filter((kind) => !living.some((row) => row.kind === kind))
    .map((kind) => problem(kind, `${WITHOUT[kind]}${lastSeen(silent, kind, nowMs)}`, `start one: npm run ${kind}`));
  const asked = living.filter(({ kind }) => kind !== "api").map((row) => checkReady(row, timeoutMs));
  return {
    alive: { dispatcher: living.some(({ kind }) => kind === "dispatcher") },
    findings: [...missing, ...(await Promise.all(asked))],
  };
}

function lastSeen(silent: ProcessRecord[], kind: ProcessKind, nowMs: number): string {
  const last = silent.filter((row) => row.kind === kind).at(-1);
  if (last === undefined) return "";
  return ` (${nameOf(last)} was last seen ${Math.round((nowMs - last.seenMs) / 1000)} s ago)`;
}

function nameOf({ kind, pid }: ProcessRecord): string {
  return `${kind} ${pid}`;
}

async function checkReady(row: ProcessRecord, timeoutMs: number): Promise<Finding> {
  const name = nameOf(row);
  const urls = row.host === hostname() ? listeningUrls(row.pid) : null;
  if (urls === null)
    return skipped(row.kind, `${name} shows life; it was not asked, since its address is not known from here`);
  const answers = await Promise.all(urls.map((url) => readiness(url, timeoutMs)));
  const answer = answers.find((one) => one !== null) ?? null;
  if (answer === null)
    return problem(row.kind, `${name} shows life, but does not answer`, `look at its log, or start it again`);
  return answer === ""
    ? ok(row.kind, `${name} is ready`)
    : problem(row.kind, `${name} is not ready: ${answer}`, "mend what it says");
}

/** Empty: ready. Null: no answer. */
async function readiness(url: string, timeoutMs: number): Promise<string | null> {
  try {
    const { status, body } = await createApi({ url, token: null }).ask("GET", "/readyz", { timeoutMs });
    return status === 200 ? "" : String(body?.error ?? `HTTP ${status}`);
  } catch (error) {
    if (error instanceof Unreachable) return null;
    throw error;
  }
}

/** The API as clients reach it. `usable`: it takes the token. */
export async function checkApi(api: Api, timeoutMs: number): Promise<{ usable: boolean; findings: Finding[] }> {
  const check = "api";
  try {
    const ready = await api.ask("GET", "/readyz", { timeoutMs });
    const status = await api.ask("GET", "/status", { timeoutMs });
    const findings: Finding[] = [];
    if (ready.status !== 200)
      findings.push(
        problem(check, `it is not ready: ${ready.body?.error ?? `HTTP ${ready.status}`}`, "mend what it says"),
      );
    if (status.status === 401)
      findings.push(
        problem(
          check,
          `${api.url} does not take the token that is configured here`,
          "compare server.api_token (API_TOKEN), or the file beside the database, with what that api was started with; start it again after a change",
        ),
      );
    const usable = status.status === 200 && status.body?.ok === true;
    if (!usable && status.status !== 401)
      findings.push(
        problem(
          check,
          `what answers at ${api.url} is not this service (HTTP ${status.status})`,
          "another program has the port: see server.host and server.port",
        ),
      );
    return {
      usable,
      findings: findings.length > 0 ? findings : [ok(check, `${api.url} answers, and takes the token`)],
    };
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    const todo = "start it: npm run api; or correct server.host and server.port (HOST, PORT)";
    return { usable: false, findings: [problem(check, `nobody answers at ${api.url}`, todo)] };
  }
}
