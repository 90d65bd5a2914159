import { Refused, Unreachable } from "./faults.ts";
import type { Target } from "./target.ts";

// biome-ignore lint/suspicious/noExplicitAny: answers are shown as they come; their shapes are the API's to keep.
export type Body = any;

export type Answer = { status: number; body: Body };

export type Query = Record<string, string | number | boolean | undefined>;

export type Api = {
  url: string;
  get(path: string, query?: Query): Promise<Body>;
  post(path: string, body?: object, query?: Query): Promise<Body>;
  put(path: string, body: object, query?: Query): Promise<Body>;
  patch(path: string, body: object, query?: Query): Promise<Body>;
  delete(path: string, query?: Query): Promise<Body>;
  /** Whatever the answer is. Throws Unreachable alone. */
  ask(method: string, path: string, options?: Asked): Promise<Answer>;
};

export type Asked = { body?: object; query?: Query; timeoutMs?: number };

/** Above the 30 s that the API waits for a dispatcher to try a login. */
const TIMEOUT_MS = 40_000;

/** The REST API. All but `ask` throw Refused with the service's words when it does not answer 2xx. */
export function createApi({ url, token }: Target): Api {
  async function ask(method: string, path: string, { body, query = {}, timeoutMs = TIMEOUT_MS }: Asked = {}) {
    const headers: Record<string, string> = { accept: "application/json" };
    if (token !== null) headers["x-api-token"] = token;
    if (body !== undefined) headers["content-type"] = "application/json";
    const init = { method, headers, redirect: "manual" as const, ...(body && { body: JSON.stringify(body) }) };
    try {
      const response = await fetch(`${url}${path}${queryText(query)}`, {
        ...init,
        signal: AbortSignal.timeout(timeoutMs),
      });
      return { status: response.status, body: bodyOf(await response.text()) };
    } catch (error) {
      throw unreachable(url, error as Error, timeoutMs);
    }
  }

  async function accepted(method: string, path: string, options: Asked): Promise<Body> {
    const answer = await ask(method, path, options);
    if (answer.status >= 200 && answer.status < 300 && answer.body !== null) return answer.body;
    throw new Refused(reasonOf(answer, url));
  }

  return {
    url,
    ask,
    get: (path, query = {}) => accepted("GET", path, { query }),
    post: (path, body, query = {}) => accepted("POST", path, { query, ...(body && { body }) }),
    put: (path, body, query = {}) => accepted("PUT", path, { body, query }),
    patch: (path, body, query = {}) => accepted("PATCH", path, { body, query }),
    delete: (path, query = {}) => accepted("DELETE", path, { query }),
  };
}

function queryText(query: Query): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  if (given.length === 0) return "";
  return `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

/** Null: no JSON, so not this service. */
function bodyOf(text: string): Body {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The service's own words, with the field they are about. */
export function reasonOf({ status, body }: Answer, url: string): string {
  if (status === 401)
    return `the service at ${url} does not take the token: give --token-file, MAILCTL_TOKEN or API_TOKEN the one of server.api_token, or of the file beside the database`;
  if (body === null || typeof body !== "object")
    return `what answers at ${url} is not this service (HTTP ${status}): give its address with --url or MAILCTL_URL`;
  const { detail, error, rejected } = body;
  if (Array.isArray(rejected) && rejected.length > 0) return rejected.map(rejectionText).join("; ");
  if (Array.isArray(detail)) return detail.map(issueText).join("; ");
  return typeof detail === "string" ? detail : String(error ?? `HTTP ${status}`);
}

export function rejectionText({ id, reason }: { id: string | null; reason: string }): string {
  return `${id ?? "a message without id"}: ${reason}`;
}

function issueText({ loc = [], msg }: { loc?: (string | number)[]; msg: string }): string {
  const [place, ...path] = loc;
  const field = (place === "body" || place === "query" || place === "path" ? path : loc).join(".");
  return field === "" ? msg : `${field}: ${msg}`;
}

function unreachable(url: string, error: Error, timeoutMs: number): Unreachable {
  const { code, message } = (error.cause ?? {}) as { code?: string; message?: string };
  const why =
    error.name === "TimeoutError" ? `no answer within ${timeoutMs / 1000} s` : (code ?? message ?? error.message);
  return new Unreachable(
    `the service at ${url} cannot be reached (${why}): is the api running? Its address is given with --url, MAILCTL_URL or the configuration (server.host, server.port)`,
  );
}
