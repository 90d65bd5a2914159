import { retryAfterMs } from "@async-mail/runtime/retry-after";
import { LONGEST_RETRY_AFTER_MS, type SourceFailure } from "./remote-source.ts";

/** What the SDK throws, as far as it is looked at. Its messages are not: they name hosts, buckets' endpoints and keys. */
type S3Error = {
  name?: string;
  /** Of the connection: Node's or OpenSSL's. */
  code?: string;
  $metadata?: { httpStatusCode?: number };
  $response?: { statusCode?: number; headers?: Record<string, string | undefined> };
};

/** What is final, and what can pass because the server recovers or the operator mends it. */
const FINAL: Record<string, string> = {
  AccessDenied: "access denied",
  InvalidObjectState: "the object is archived, it has to be restored first",
  NoSuchBucket: "there is no such bucket",
  NoSuchKey: "there is no such key in the bucket",
  NoSuchVersion: "the key has no such version",
};
const PASSING: Record<string, string> = {
  AccountProblem: "something is wrong with our account there",
  AuthorizationHeaderMalformed: "the server wants another region: see s3.region",
  ExpiredToken: "our credentials have expired",
  InvalidAccessKeyId: "the server does not know our access key",
  InvalidSecurity: "the server does not accept our credentials",
  InvalidToken: "the server does not accept our session token",
  NotSignedUp: "something is wrong with our account there",
  OperationAborted: "the object is just being changed",
  PermanentRedirect: "the bucket is in another region: see s3.region and s3.endpoint",
  RequestExpired: "our clock and the server's differ too much",
  RequestTimeTooSkewed: "our clock and the server's differ too much",
  RequestTimeout: "the server did not get our request in time",
  SignatureDoesNotMatch: "the server does not accept our secret key",
  SlowDown: "the server is busy",
  TemporaryRedirect: "the bucket is just being moved",
  TokenRefreshRequired: "our credentials have expired",
};

/** Why an object cannot be had, in our own words and with the code: nothing of keys, signatures or inner addresses. */
export function s3Failure(thrown: unknown): SourceFailure {
  const error = thrown as S3Error;
  const status = error.$metadata?.httpStatusCode ?? error.$response?.statusCode;
  if (status !== undefined) return answered(status, error);
  const code = wordOf(error.code);
  if (code !== null) return passing(`${connectionWords(code)} (${code})`);
  return passing(`the request could not be made (${wordOf(error.name) ?? "unknown"})`);
}

/** Of what may pass. */
export function passing(reason: string): SourceFailure {
  return { kind: "failed", permanent: false, reason };
}

export function final(reason: string): SourceFailure {
  return { kind: "failed", permanent: true, reason };
}

/** A name as it may be shown: the server's choice, or that of whoever stands in its place. */
export function wordOf(name: unknown): string | null {
  return typeof name === "string" && /^[A-Za-z][\w.]{1,59}$/.test(name) ? name : null;
}

function answered(status: number, error: S3Error): SourceFailure {
  const code = codeOf(error);
  const shown = code ?? `status ${status}`;
  if (code !== null && Object.hasOwn(FINAL, code)) return final(`${FINAL[code]} (${shown})`);
  if (code !== null && Object.hasOwn(PASSING, code)) return retried(`${PASSING[code]} (${shown})`, error);
  if (status < 300) return passing(`the answer cannot be read (${shown})`);
  if (status === 401) return passing(`the server does not accept our credentials (${shown})`);
  if (status === 403) return final(`access denied (${shown})`);
  if (status === 404) return final(`there is no such bucket or key (${shown})`);
  const words = `the server answered ${status}${code === null ? "" : ` (${code})`}`;
  return status < 400 || status >= 500 || MAY_PASS.has(status) ? retried(words, error) : final(words);
}

/** RFC 9110 §15.5.9, RFC 8470, RFC 6585 §4. */
const MAY_PASS = new Set([408, 425, 429]);

/** The server's code; where none could be read in its answer, the SDK gives the error a name of its own. */
function codeOf({ name }: S3Error): string | null {
  return /^(Unknown|NotFound|Error|TypeError|SyntaxError)$/.test(name ?? "") ? null : wordOf(name);
}

function retried(reason: string, error: S3Error): SourceFailure {
  const { "retry-after": after, date = "" } = error.$response?.headers ?? {};
  // By the server's own clock.
  const ms = retryAfterMs(after, Date.parse(date), LONGEST_RETRY_AFTER_MS);
  return ms === null ? passing(reason) : { ...passing(reason), retryAfterMs: ms };
}

function connectionWords(code: string): string {
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "the endpoint's name has no address";
  if (/^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|ETIMEDOUT)$/.test(code)) return "no connection";
  if (code.startsWith("HPE_")) return "what answers does not speak HTTP as it should";
  if (/^(EPROTO$|ERR_SSL|ERR_TLS|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO|HOSTNAME_MISMATCH|INVALID_CA)/.test(code))
    return "TLS failed";
  return "the connection broke";
}
