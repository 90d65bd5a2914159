import { quote } from "./read.ts";
import { type Instant, toSteadyMs } from "./time.ts";

/** What the client's answer means, contract §4.3. */
export type Answer =
  | {
      acknowledged: true;
      /** Messages the client says it has just handed over. */
      queued: number;
      moreMessages: boolean;
      /** Wall ms; no empty poll before then. Not yet capped, see quietUntilMs. */
      nextSyncAfterMs: number | null;
      notFound: string[];
    }
  | { acknowledged: false; reason: string };

/** The rules stand in the contract's order. With `status`, any 2xx acknowledges, whatever the body says. */
export function readAnswer(status: number, bodyText: string, acknowledge: "body" | "status"): Answer {
  if (status < 200 || status > 299) return failure(`HTTP ${status}`);
  if (status === 204 || bodyText.trim() === "") return acknowledged({});
  const body = parseObject(bodyText);
  if (acknowledge === "status") return acknowledged(body ?? {});
  if (body === null) return failure(`not a JSON object: ${quote(bodyText)}`);
  if (typeof body.error === "string") return failure(`error ${quote(body.error)}`);
  if (body.ok === false) return failure("ok is false");
  return saysTaken(body) ? acknowledged(body) : failure(`nothing acknowledges: ${quote(bodyText)}`);
}

/** Steady ms until which no empty poll is made: `next_sync_after`, at most 24 h ahead. Null: it is over, or none was asked for. */
export function quietUntilMs(nextSyncAfterMs: number | null, now: Instant): number | null {
  if (nextSyncAfterMs === null || nextSyncAfterMs <= now.wallMs) return null;
  return toSteadyMs(Math.min(nextSyncAfterMs, now.wallMs + MAX_QUIET_MS), now);
}

const MAX_QUIET_MS = 86_400_000;
const LISTS = ["error", "not_found"];
const COUNTS = ["queued", "sent", "error", "deferred"];

type Body = Record<string, unknown>;

function parseObject(text: string): Body | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Body) : null;
  } catch {
    return null; // what is not JSON is told by the null: a client may answer with anything
  }
}

function saysTaken(body: Body): boolean {
  if (body.ok === true || LISTS.some((field) => Array.isArray(body[field]))) return true;
  return COUNTS.some((field) => typeof body[field] === "number");
}

function failure(reason: string): Answer {
  return { acknowledged: false, reason };
}

function acknowledged(body: Body): Answer {
  const { queued, more_messages, next_sync_after, not_found } = body;
  return {
    acknowledged: true,
    queued: typeof queued === "number" ? Math.max(queued, 0) : 0,
    moreMessages: more_messages === true,
    nextSyncAfterMs: typeof next_sync_after === "number" ? next_sync_after * 1000 : null,
    notFound: Array.isArray(not_found) ? not_found.map(String) : [],
  };
}
