/** An answer of the API, its body parsed when it is JSON. */
// biome-ignore lint/suspicious/noExplicitAny: a test looks into answers freely, and fails where they are otherwise.
export type Answer = { status: number; headers: Headers; body: any; text: string };

type Body = string | Uint8Array | ReadableStream<Uint8Array>;

export type ApiClient = {
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  patch(path: string, body?: unknown): Promise<Answer>;
  delete(path: string): Promise<Answer>;
  /** Any request at all; `body` goes as it is. */
  send(method: string, path: string, init?: { body?: Body; headers?: Record<string, string> }): Promise<Answer>;
  addMessages(...messages: object[]): Promise<Answer>;
};

/** The client that every test speaks through: `fetch`, with the token unless it is null. */
export function apiClient(url: string, token: string | null = "test-token"): ApiClient {
  const credentials: Record<string, string> = token === null ? {} : { "x-api-token": token };

  async function send(method: string, path: string, init: { body?: Body; headers?: Record<string, string> } = {}) {
    const response = await fetch(new URL(path, url), {
      method,
      headers: { ...credentials, ...init.headers },
      redirect: "manual",
      ...(init.body === undefined ? {} : { body: init.body, duplex: "half" }),
    } as RequestInit);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: parsed(text), text };
  }

  function sendJson(method: string, path: string, body: unknown, headers: Record<string, string> = {}) {
    if (body === undefined) return send(method, path, { headers });
    return send(method, path, {
      body: JSON.stringify(body),
      headers: { "content-type": "application/json", ...headers },
    });
  }

  return {
    get: (path, headers) => sendJson("GET", path, undefined, headers),
    post: (path, body, headers) => sendJson("POST", path, body, headers),
    patch: (path, body) => sendJson("PATCH", path, body),
    delete: (path) => sendJson("DELETE", path, undefined),
    send,
    addMessages: (...messages) => sendJson("POST", "/commands/add-messages", { messages }),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
