import type { ReportItem } from "@async-mail/domain/report";
import type { Instant } from "@async-mail/domain/time";
import { toDate } from "@async-mail/runtime/clock";
import { retryAfterMs } from "@async-mail/runtime/retry-after";
import { Agent, type Dispatcher, request } from "undici";
import { createSigner, type Sign } from "./signature.ts";

/** What came back of one POST. */
export type CallResult =
  | { answered: true; status: number; body: string; retryAfterMs: number | null }
  | { answered: false; reason: string };

export type Client = {
  /** Posts the reports, none for a poll. Does not throw. `signal` cuts the call short. */
  post(reports: ReportItem[], now: Instant, signal: AbortSignal): Promise<CallResult>;
  close(): Promise<void>;
};

export type ClientOptions = {
  url: string;
  user: string | null;
  password: string | null;
  /** Bearer; wins over user and password. */
  token: string | null;
  /** For the whole call, the answer's last byte included. */
  timeoutMs: number;
  /** `whsec_…`, or two of them, comma separated. */
  signingSecret: string | null;
  userAgent: string;
  /** A text never used before, for `webhook-id`. */
  newId(): string;
};

/** An answer is a few counts and ids; whoever sends more is cut off here and read as far as that. */
const MAX_ANSWER_BYTES = 1_048_576;
/** No answer silences the reports for longer, whatever it asks. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;

/** The endpoint that gets the reports. Redirects are answers, not followed: the credentials are for this address. */
export function createClient(options: ClientOptions): Client {
  const url = new URL(options.url);
  const sign = options.signingSecret === null ? null : createSigner(options.signingSecret);
  const standing = standingHeaders(options);
  // The total time-out of `post` governs, so undici's idle timers are off. Connections are kept for a burst of calls
  // only: one that the client closes while it is being used again would look like a failed call.
  const agent = new Agent({
    connections: 1,
    keepAliveTimeout: 1000,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: options.timeoutMs },
  });

  return {
    async post(reports, now, signal) {
      const body = JSON.stringify({ delivery_report: reports });
      const headers = { ...standing, ...signatureHeaders(sign, options.newId, now, body) };
      const timeout = AbortSignal.timeout(Math.ceil(options.timeoutMs));
      const cut = AbortSignal.any([timeout, signal]);
      try {
        const answer = await request(url, { method: "POST", headers, body, dispatcher: agent, signal: cut });
        return {
          answered: true,
          status: answer.statusCode,
          body: await readText(answer.body),
          retryAfterMs: retryAfterMs([answer.headers["retry-after"]].flat()[0], now.wallMs, LONGEST_RETRY_AFTER_MS),
        };
      } catch (error) {
        if (timeout.aborted) return { answered: false, reason: `no answer within ${options.timeoutMs / 1000} s` };
        if (signal.aborted) return { answered: false, reason: "cut short, since this reporter stops" };
        return { answered: false, reason: reasonOf(error) };
      }
    },
    close: () => agent.destroy(),
  };
}

function standingHeaders(options: ClientOptions): Record<string, string> {
  const authorization = authorizationOf(options);
  return {
    "content-type": "application/json",
    accept: "application/json",
    "user-agent": options.userAgent,
    ...(authorization === null ? {} : { authorization }),
  };
}

function authorizationOf({ token, user, password }: ClientOptions): string | null {
  if (token !== null) return `Bearer ${token}`;
  if (user !== null || password !== null) return basic(user ?? "", password ?? "");
  return null;
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

function signatureHeaders(sign: Sign | null, newId: () => string, now: Instant, body: string): Record<string, string> {
  return sign === null ? {} : sign(`msg_${newId()}`, toDate(now.wallMs), body);
}

/** Leaving the loop destroys the stream, and with it the connection of an answer too long to be one. */
async function readText(body: Dispatcher.ResponseData["body"]): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) break;
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** The connection's own words: undici wraps what happens to several addresses in one error without a text. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(reasonOf).join("; ");
  return error instanceof Error ? error.message || error.name : String(error);
}
