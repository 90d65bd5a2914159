import { orAborted } from "@async-mail/runtime/or-aborted";
import { type Dispatcher, request } from "undici";
import type { Opened, Validator } from "./remote-source.ts";
import { conditionOf, readAnswer } from "./url-answer.ts";
import { decodedBody } from "./url-body.ts";
import { noAnswer } from "./url-failure.ts";
import { firstHop, forbiddenAt, fromWhere, type Hop, nextHop } from "./url-hops.ts";

/** A file on the web; `authorization` is for the URL's own origin, and null where at most the URL has a login. */
export type WebFile = { url: string; authorization: string | null };

export type UrlSource = {
  /**
   * Asks for the file, conditionally if `known` is given. `signal` ends all of it: every hop, the name look-ups, and the
   * body while it is read. Reasons name the host asked for, never one that it redirects to, and no secrets of the URL.
   */
  open(file: WebFile, known: Validator | null, signal: AbortSignal): Promise<Opened>;
};

export type UrlSourceOptions = {
  /** Decides what may be reached, on every hop. */
  egress: Dispatcher;
  /** On the wire, that is before decompression; whoever reads the body counts what comes out. */
  maxBytes: number;
};

export type Response = Dispatcher.ResponseData;

const STANDING_HEADERS = { "user-agent": "gnr-async-mail-service", accept: "*/*", "accept-encoding": "identity" };

/** Of an answer that is not wanted, so little is read, and so long waited for it, to keep its connection. */
const DUMPED_BYTES = 16_384;
const DUMPED_MS = 1000;

export function createUrlSource({ egress, maxBytes }: UrlSourceOptions): UrlSource {
  /** `known` is for the first hop only: a redirect may lead to another file today, with an older date. */
  async function openAt(hop: Hop, known: Validator | null, signal: AbortSignal): Promise<Opened> {
    const condition = conditionOf(known);
    const isFirst = hop.url === hop.first;
    let response: Response;
    try {
      response = await ask(egress, addressOf(hop), { authorization: hop.login?.authorization, ...condition }, signal);
    } catch (error) {
      return noAnswer(error, fromWhere(hop), forbiddenAt(hop), signal);
    }
    const { statusCode, headers, body } = response;
    const isConditional = Object.keys(condition).length > 0;
    const urls = [hop.first, hop.url];
    const answer = readAnswer(statusCode, headers, { from: fromWhere(hop), urls, maxBytes, isConditional });
    if (answer.kind === "file") {
      const { encodings, declaredBytes, validator } = answer;
      const decoded = decodedBody(body, { encodings, maxBytes, signal });
      return { kind: "file", body: decoded, declaredBytes, validator: isFirst ? validator : null };
    }
    dismiss(body);
    if (answer.kind !== "moved") return answer;
    const next = nextHop(hop, answer.location);
    return "url" in next ? openAt(next, null, signal) : next;
  }

  return {
    async open({ url, authorization }, known, signal) {
      const hop = firstHop(url, authorization);
      return "url" in hop ? openAt(hop, known, signal) : hop;
    },
  };
}

/** Without a login or a fragment. */
function addressOf({ url }: Hop): string {
  return `${url.origin}${url.pathname}${url.search}`;
}

type AskHeaders = Record<string, string | undefined>;

/** Asks for a file, with a `body` by POST. Headers that are undefined are not sent. Rejects where no answer comes. */
export function ask(
  egress: Dispatcher,
  address: string,
  headers: AskHeaders,
  signal: AbortSignal,
  body?: string,
): Promise<Response> {
  const method = body === undefined ? "GET" : "POST";
  const asked = request(address, {
    dispatcher: egress,
    method,
    body,
    signal,
    headers: { ...STANDING_HEADERS, ...headers },
  });
  return orAborted(asked, signal);
}

/** Of an answer that is not the file. */
export function dismiss(body: Response["body"]): void {
  body.dump({ limit: DUMPED_BYTES, signal: AbortSignal.timeout(DUMPED_MS) }).catch(() => {});
}
