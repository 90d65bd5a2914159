import type { ReportItem } from "@async-mail/domain/report";
import type { Instant } from "@async-mail/domain/time";
import { toDate } from "@async-mail/runtime/clock";
import { anyButLinkLocal, createEgress } from "@async-mail/runtime/egress";
import { orAborted } from "@async-mail/runtime/or-aborted";
import type { Lookup } from "@async-mail/runtime/permitted-lookup";
import { retryAfterMs } from "@async-mail/runtime/retry-after";
import { Agent, type Dispatcher, request } from "undici";
import type { Endpoint } from "./endpoint.ts";
import { noAnswer } from "./no-answer.ts";
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
  /** For the whole call, the answer's last byte included. */
  timeoutMs: number;
  userAgent: string;
  /** A text never used before, for `webhook-id`. */
  newId(): string;
  /** Shared by all clients of tenants, since it takes slow names a few at a time. */
  lookup: Lookup;
};

/** An answer is a few counts and ids; whoever sends more is cut off here and read as far as that. */
const MAX_ANSWER_BYTES = 1_048_576;
/** No answer silences the reports for longer, whatever it asks. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;

/**
 * The endpoint that gets the reports. Redirects are answers, not followed: the credentials are for this address. Its
 * connection is its own, so that no other's call waits for it, on the same host neither.
 */
export function createClient(endpoint: Endpoint, options: ClientOptions): Client {
  const url = new URL(endpoint.url);
  const sign = endpoint.signingSecret === null ? null : createSigner(endpoint.signingSecret);
  const standing = standingHeaders(endpoint, options);
  const dispatcher = endpoint.anyAddress ? connectionToAny(options) : connectionToTenant(options);

  return {
    async post(reports, now, signal) {
      const body = JSON.stringify({ delivery_report: reports });
      const headers = { ...standing, ...signatureHeaders(sign, options.newId, now, body) };
      const timeout = AbortSignal.timeout(Math.ceil(options.timeoutMs));
      const cut = AbortSignal.any([timeout, signal]);
      const answered = async (): Promise<CallResult> => {
        const answer = await request(url, { method: "POST", headers, body, dispatcher, signal: cut });
        return {
          answered: true,
          status: answer.statusCode,
          body: await readText(answer.body),
          retryAfterMs: retryAfterMs([answer.headers["retry-after"]].flat()[0], now.wallMs, LONGEST_RETRY_AFTER_MS),
        };
      };
      try {
        return await orAborted(answered(), cut);
      } catch (error) {
        if (timeout.aborted) return { answered: false, reason: `no answer within ${options.timeoutMs / 1000} s` };
        if (signal.aborted) return { answered: false, reason: "cut short, since this reporter stops" };
        return { answered: false, reason: noAnswer(error) };
      }
    },
    close: () => dispatcher.destroy(),
  };
}

/**
 * The total time-out of `post` governs, so undici's idle timers are off. Connections are kept for a burst of calls
 * only: one that the client closes while it is being used again would look like a failed call.
 */
function connectionToAny({ timeoutMs }: ClientOptions): Dispatcher {
  return new Agent({
    connections: 1,
    keepAliveTimeout: 1000,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: timeoutMs },
  });
}

function connectionToTenant({ timeoutMs, lookup }: ClientOptions): Dispatcher {
  return createEgress({ mayReach: anyButLinkLocal, connectTimeoutMs: timeoutMs, connectionsPerOrigin: 1, lookup });
}

function standingHeaders({ authorization }: Endpoint, { userAgent }: ClientOptions): Record<string, string> {
  return {
    "content-type": "application/json",
    accept: "application/json",
    "user-agent": userAgent,
    ...(authorization === null ? {} : { authorization }),
  };
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
