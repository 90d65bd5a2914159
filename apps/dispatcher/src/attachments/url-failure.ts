import { ForbiddenAddress } from "@async-mail/runtime/egress";
import type { SourceFailure } from "./remote-source.ts";

/** In words, for codes that are none. */
const WORDS: Record<string, string> = {
  UND_ERR_CONNECT_TIMEOUT: "connect time-out",
  UND_ERR_SOCKET: "connection closed",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "shorter than its Content-Length",
  ETIMEOUT: "its name servers do not answer",
  ESERVFAIL: "its name servers fail",
  UND_ERR_HEADERS_OVERFLOW: "headers too long",
};

export function refused(reason: string): SourceFailure {
  return { kind: "failed", permanent: true, reason };
}

export function failedForNow(reason: string, retryAfterMs: number | null = null): SourceFailure {
  return { kind: "failed", permanent: false, reason, ...(retryAfterMs === null ? {} : { retryAfterMs }) };
}

export function tooLarge(maxBytes: number): string {
  return `larger than attachments.max_bytes allows (${maxBytes})`;
}

/** Why no answer came from there. `forbidden` is what to say where the address may not be reached. */
export function noAnswer(error: unknown, from: string, forbidden: string, signal: AbortSignal): SourceFailure {
  if (isForbidden(error)) return refused(forbidden);
  if (signal.aborted) return failedForNow(reasonOf(signal));
  const words = wordsOf(error);
  return failedForNow(`no answer ${from}${words === null ? "" : ` (${words})`}`);
}

/** Why a body broke off on the way here. */
export function brokenWords(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return reasonOf(signal);
  const words = wordsOf(error);
  return `cut off on the way${words === null ? "" : ` (${words})`}`;
}

/** What whoever ended it gave as the reason. */
export function reasonOf({ reason }: AbortSignal): string {
  return reason instanceof Error ? reason.message : String(reason);
}

function isForbidden(error: unknown): boolean {
  for (let one = error; one instanceof Error; one = one.cause) if (one instanceof ForbiddenAddress) return true;
  return false;
}

/** Codes only: messages hold addresses. */
function wordsOf(error: unknown): string | null {
  if (error instanceof Error && error.name === "HTTPParserError") return parserWords(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return WORDS[code] ?? (/^[A-Z][A-Z0-9_]+$/.test(code) ? code : null);
}

/** `data` is what the parser could not read on from: nothing, where the connection ended too early. */
function parserWords(error: Error & { data?: unknown }): string {
  return error.data === "" ? "connection closed" : "not HTTP";
}
