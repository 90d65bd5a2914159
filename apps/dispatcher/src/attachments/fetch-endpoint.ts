import { maySign } from "@async-mail/domain/attachment-secrets";
import { quote } from "@async-mail/domain/read";
import { secretsOfLogin } from "@async-mail/domain/tenant";
import { ask, dismiss, type Response, type UrlSourceOptions } from "./fetch-url.ts";
import { type Opened, SourceBroken } from "./remote-source.ts";
import { readAnswer, retryAfter, statusWords } from "./url-answer.ts";
import { decodedBody } from "./url-body.ts";
import { failedForNow, noAnswer, refused } from "./url-failure.ts";

/** A file that a tenant's client has. */
export type EndpointFile = {
  /** Where the client is asked. */
  url: string;
  /** The client's own name for it. */
  path: string;
  authorization: string | null;
  /** The name under which it goes out. */
  name: string;
};

export type EndpointSource = {
  /** Asks the client for the file. No redirect is followed, since the login is for this address. Reasons name its host, and no secrets. */
  open(file: EndpointFile, signal: AbortSignal): Promise<Opened>;
};

type Bytes = AsyncIterable<Uint8Array>;

/** What is larger is not an error's text, and is not held back to be looked at. */
const LONGEST_REFUSAL = 65_536;

/** `egress` may reach private addresses: nothing is asked but the URL that an operator gave the tenant. */
export function createEndpointSource({ egress, maxBytes }: UrlSourceOptions): EndpointSource {
  return {
    async open(file, signal) {
      const url = URL.parse(file.url);
      if (url === null) return refused("the tenant's client_base_url is no address");
      const from = `from ${url.host}`;
      let response: Response;
      try {
        response = await ask(egress, file.url, headersOf(file), signal, JSON.stringify({ storage_path: file.path }));
      } catch (error) {
        return noAnswer(error, from, `${url.host}: its address may not be reached (client_base_url)`, signal);
      }
      const { statusCode, headers, body } = response;
      const answer = mayPass(statusCode)
        ? failedForNow(passingWords(statusCode, from), retryAfter(headers))
        : readAnswer(statusCode, headers, { from, urls: namesOf(file), maxBytes, isConditional: false });
      if (answer.kind === "file") {
        const { encodings, declaredBytes } = answer;
        const decoded = decodedBody(body, { encodings, maxBytes, signal });
        const wanted = isJsonName(file.name) ? decoded : unlessRefused(decoded, url.host, secretsOf(file));
        return { kind: "file", body: wanted, declaredBytes, validator: null };
      }
      dismiss(body);
      // Redirects may pass, and whether it has changed was not asked.
      return answer as Exclude<typeof answer, { kind: "moved" | "unchanged" }>;
    },
  };
}

/** Of such a file an error's text cannot be told apart. */
export function isJsonName(name: string): boolean {
  return /\.json$/i.test(name);
}

function headersOf({ authorization }: EndpointFile) {
  return { "content-type": "application/json", authorization: authorization ?? undefined };
}

/** For readAnswer, which looks at their ends. */
function namesOf({ path, name }: EndpointFile) {
  return [{ pathname: path }, { pathname: name }];
}

/** A login that fails, and a client that has moved, are mended by its operator, without anything done to the message. */
function mayPass(status: number): boolean {
  return status === 401 || status === 403 || isRedirect(status);
}

function isRedirect(status: number): boolean {
  return status >= 300 && status < 400;
}

function passingWords(status: number, from: string): string {
  return `${statusWords(status, from)}${isRedirect(status) ? ", which is not followed" : ""}`;
}

/** What a client may say again in an error's text: the login, as it is sent or its password, and a path that may be one. */
function secretsOf({ authorization, path }: EndpointFile): string[] {
  const ofPath = maySign(path) ? [path, path.slice(path.indexOf("?") + 1)] : [];
  return [...secretsOfLogin(authorization), ...ofPath].filter((one) => one !== "");
}

/** The file as it comes; throws SourceBroken instead of a JSON object with `error`: a failed login is answered so. */
function unlessRefused(body: Bytes, host: string, secrets: string[]): Bytes {
  return {
    [Symbol.asyncIterator]() {
      const source = body[Symbol.asyncIterator]();
      const chunks = lookedAt(source, (bytes) => refusalIn(bytes, host, secrets));
      return {
        next: () => chunks.next(),
        // A generator that was not begun would not hear of it.
        async return() {
          await source.return?.();
          await chunks.return();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

/** Holds back what may be a refusal, until it is none. */
async function* lookedAt(
  source: AsyncIterator<Uint8Array>,
  refusalOf: (bytes: Buffer) => string | null,
): AsyncGenerator<Uint8Array, void> {
  const held: Uint8Array[] = [];
  let bytes = 0;
  let first: number | undefined;
  let next = await source.next();
  for (; !next.done; next = await source.next()) {
    held.push(next.value);
    bytes += next.value.length;
    first ??= firstVisible(next.value);
    if (bytes > LONGEST_REFUSAL || (first ?? BRACE) !== BRACE) break;
  }
  if (next.done) {
    const refusal = refusalOf(Buffer.concat(held));
    if (refusal !== null) throw new SourceBroken(refusal);
  }
  yield* held;
  if (!next.done) for (next = await source.next(); !next.done; next = await source.next()) yield next.value;
}

function firstVisible(bytes: Uint8Array): number | undefined {
  return bytes.find((byte) => !BLANKS.includes(byte));
}

const BRACE = 0x7b;
/** Of JSON. */
const BLANKS = [0x20, 0x09, 0x0a, 0x0d];

/** In words; null: it is a file. */
function refusalIn(bytes: Buffer, host: string, secrets: string[]): string | null {
  const answer = parsed(bytes.toString());
  if (typeof answer !== "object" || answer === null || Array.isArray(answer) || !Object.hasOwn(answer, "error"))
    return null;
  const { error } = answer as { error: unknown };
  return `${host} answered with an error in place of the file${shown(error, secrets)}`;
}

/** Only texts are; one that repeats a secret would stand in records and reports. */
function shown(error: unknown, secrets: string[]): string {
  if (typeof error !== "string" || error.trim() === "") return "";
  if (secrets.some((one) => error.includes(one))) return ", and its text, which holds secrets, is not shown";
  return `: ${quote(error.trim())}`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // a file that begins with a brace
  }
}
