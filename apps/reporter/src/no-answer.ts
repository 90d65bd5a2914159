import { ForbiddenAddress } from "@async-mail/runtime/egress";

/** In words, for codes that are none. */
const WORDS: Record<string, string> = {
  UND_ERR_CONNECT_TIMEOUT: "connect time-out",
  UND_ERR_SOCKET: "connection closed",
  ETIMEOUT: "its name servers do not answer",
  ESERVFAIL: "its name servers fail",
};

/** Why none came. By codes only: messages hold addresses, and what a host's name leads to may be nobody's business. */
export function noAnswer(error: unknown): string {
  if (error instanceof ForbiddenAddress) return error.message;
  const words = [...new Set(causesOf(error).map(wordsOf))].filter((one) => one !== null);
  return words.length === 0 ? "no answer" : `no answer (${words.join(", ")})`;
}

/** What happens to several addresses of a host comes wrapped in one error. */
function causesOf(error: unknown): unknown[] {
  return error instanceof AggregateError && error.errors.length > 0 ? error.errors : [error];
}

function wordsOf(error: unknown): string | null {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return WORDS[code] ?? (/^[A-Z][A-Z0-9_]+$/.test(code) ? code : null);
}
