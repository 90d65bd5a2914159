import { STATUS_CODES } from "node:http";
import { retryAfterMs } from "@async-mail/runtime/retry-after";
import { LONGEST_RETRY_AFTER_MS, type SourceFailure, type Validator } from "./remote-source.ts";
import { failedForNow, refused, tooLarge } from "./url-failure.ts";

export type Headers = Record<string, string | string[] | undefined>;

export type UrlAnswer =
  | {
      kind: "file";
      /** Of Content-Encoding, in the order they were applied; all known. */
      encodings: string[];
      /** Null also where it is the length of something encoded. */
      declaredBytes: number | null;
      validator: Validator | null;
    }
  | { kind: "moved"; location: string }
  | { kind: "unchanged" }
  | SourceFailure;

export type AnswerContext = {
  /** Where the answer comes from, as in `from files.example`. */
  from: string;
  /** Of the one that was asked for, and of the one that answers: their ends are the file's name. */
  urls: readonly Pick<URL, "pathname">[];
  maxBytes: number;
  /** It was asked whether the file has changed. */
  isConditional: boolean;
};

const FILE = [200, 203];
const MOVED = [301, 302, 303, 307, 308];
const PASSING = [408, 425, 429];
const ENCODINGS = ["gzip", "x-gzip", "deflate", "br", "zstd"];
/** More than one is already rare; each takes memory of its own. */
const MOST_ENCODINGS = 2;
/** Files that are gzip by themselves. */
const GZIP_FILE = /\.(?:gz|tgz|taz|svgz|emz|wmz)$/i;

/** What status and headers mean (RFC 9110 §15). */
export function readAnswer(status: number, headers: Headers, context: AnswerContext): UrlAnswer {
  if (FILE.includes(status)) return readFile(headers, context);
  if (status === 304 && context.isConditional) return { kind: "unchanged" };
  const location = one(headers, "location");
  if (MOVED.includes(status) && location !== "") return { kind: "moved", location };
  const reason = statusWords(status, context.from);
  const isPassing = status >= 500 || PASSING.includes(status);
  return isPassing ? failedForNow(reason, retryAfter(headers)) : refused(reason);
}

export function statusWords(status: number, from: string): string {
  return `${status} ${STATUS_CODES[status] ?? ""}`.trim().concat(` ${from}`);
}

/** The headers that ask whether the file is still that one; empty where the validator holds nothing that can be sent. */
export function conditionOf(known: Validator | null): Record<string, string> {
  const { etag, lastModified } = sendable(known?.etag ?? "", known?.lastModified ?? "") ?? {};
  return {
    ...(etag === undefined ? {} : { "if-none-match": etag }),
    ...(lastModified === undefined ? {} : { "if-modified-since": lastModified }),
  };
}

function readFile(headers: Headers, { from, urls, maxBytes }: AnswerContext): UrlAnswer {
  const length = one(headers, "content-length");
  const wireBytes = length === "" ? null : Number(length);
  if (wireBytes !== null && wireBytes > maxBytes) return refused(tooLarge(maxBytes));
  const encodings = wireBytes === 0 ? [] : encodingsOf(headers, urls);
  if (encodings.length > MOST_ENCODINGS || !encodings.every((name) => ENCODINGS.includes(name)))
    return refused(`unknown Content-Encoding ${from}`);
  return {
    kind: "file",
    encodings,
    declaredBytes: encodings.length === 0 ? wireBytes : null,
    validator: validatorIn(headers),
  };
}

function encodingsOf(headers: Headers, urls: AnswerContext["urls"]): string[] {
  const names = one(headers, "content-encoding").toLowerCase().split(",");
  const encodings = names.map((name) => name.trim()).filter((name) => name !== "" && name !== "identity");
  return isGzipFile(encodings, urls) ? [] : encodings;
}

/** Many servers take the end of such a file's name for an encoding of their own; browsers know that too. */
function isGzipFile([encoding, ...more]: string[], urls: AnswerContext["urls"]): boolean {
  const isGzip = more.length === 0 && (encoding === "gzip" || encoding === "x-gzip");
  return isGzip && urls.some(({ pathname }) => GZIP_FILE.test(pathname));
}

function validatorIn(headers: Headers): Validator | null {
  const modified = one(headers, "last-modified");
  // What was changed within this second may be changed again in it, and the date would not show (RFC 9110 §8.8.2.2).
  const isFresh = Date.parse(one(headers, "date")) - Date.parse(modified) < 1000;
  return sendable(one(headers, "etag"), isFresh ? "" : modified);
}

/** They come back in headers, so nothing but visible ASCII and spaces. */
function sendable(etag: string, lastModified: string): Validator | null {
  const found: Validator = {};
  if (/^(W\/)?"[\x21\x23-\x7e]{0,500}"$/.test(etag)) found.etag = etag;
  if (/^[\w ,:+-]{1,100}$/.test(lastModified)) found.lastModified = lastModified;
  return Object.keys(found).length === 0 ? null : found;
}

/** By the server's own clock. */
export function retryAfter(headers: Headers): number | null {
  return retryAfterMs(one(headers, "retry-after"), Date.parse(one(headers, "date")), LONGEST_RETRY_AFTER_MS);
}

function one(headers: Headers, name: string): string {
  const value = headers[name] ?? "";
  return Array.isArray(value) ? value.join(", ") : value;
}
