import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import { createClock } from "./clock.ts";
import { coalesced } from "./coalesced.ts";
import type { Log, ProcessKind } from "./log.ts";
import { presentedToken, sameToken } from "./token.ts";

export type StatusServer = { url: string; close(): Promise<void> };

export type StatusOptions = {
  /** Where to listen when a token is given. */
  host: string;
  /** Tried in order, then any. */
  ports: number[];
  registry: Registry;
  /** `metrics` opens /metrics; `api` opens it too. With neither, it listens on loopback only and asks for none. */
  tokens: { api: string | null; metrics: string | null };
  /** True: no token is asked for. Where it listens does not change. */
  allowAnonymous: boolean;
  /** null: ready. A text: why not. It may be dear: however many ask, and no token is wanted of them, it runs 50 times a second at most. */
  ready(): Promise<string | null>;
  log: Pick<Log, "listening" | "failed">;
};

/** Contract §1; a port of the operator's takes the place of the first. */
export function statusPorts(kind: Exclude<ProcessKind, "api">, port: number | null): number[] {
  const first = port ?? (kind === "dispatcher" ? 9110 : 9120);
  if (first === 0) return [];
  return Array.from({ length: 10 }, (_, index) => first + index).filter((each) => each <= 65535);
}

/** Metrics and health of a process that has no other HTTP. */
export async function serveStatus(given: StatusOptions): Promise<StatusServer> {
  const options = { ...given, ready: coalesced(given.ready, createClock(0)) };
  const server = createServer((request, response) => {
    answer(request, options).then(
      (reply) => send(request, response, reply),
      (error) => {
        options.log.failed(error, { what: "status request" });
        send(request, response, failure(500, "Internal Server Error"));
      },
    );
  });
  await listenSomewhere(server, listenHost(options), [...options.ports, 0]);
  const url = urlOf(server.address() as AddressInfo);
  options.log.listening({ url });
  return { url, close: () => closeServer(server) };
}

function listenHost({ host, tokens }: StatusOptions): string {
  return tokens.api === null && tokens.metrics === null ? "127.0.0.1" : host;
}

async function listenSomewhere(server: Server, host: string, ports: number[]): Promise<void> {
  for (const port of ports) {
    try {
      return await listen(server, host, port);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EADDRINUSE" && code !== "EACCES")
        throw new CannotListen(`metrics.host ${host}: ${code}`, { cause: error });
    }
  }
  throw new CannotListen(`metrics.host ${host}: no port is free`);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** One that can be opened: nobody connects to 0.0.0.0. */
function urlOf({ address, port, family }: AddressInfo): string {
  const host = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address;
  return `http://${family === "IPv6" ? `[${host}]` : host}:${port}`;
}

/** Does not wait for keep-alive connections. */
function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

// ---------------------------------------------------------------- answers

type Reply = { status: number; type: string; body: string; headers?: Record<string, string> };

const paths = ["/metrics", "/livez", "/readyz", "/health"];

async function answer(request: IncomingMessage, options: StatusOptions): Promise<Reply> {
  const path = request.url?.split("?")[0] ?? "";
  if (!mayOpen(path, request, options)) return failure(401, "Invalid or missing API token");
  if (!paths.includes(path)) return failure(404, "Not Found");
  if (request.method !== "GET" && request.method !== "HEAD")
    return failure(405, "Method Not Allowed", { allow: "GET, HEAD" });
  if (path === "/metrics") return metrics(options.registry);
  if (path === "/readyz") return readiness(await options.ready());
  return json(200, path === "/health" ? { status: "ok" } : { ok: true });
}

/** Health is open; all else needs a token, unknown paths too. */
function mayOpen(path: string, request: IncomingMessage, { tokens, allowAnonymous }: StatusOptions): boolean {
  if (path !== "/metrics" && paths.includes(path)) return true;
  if (allowAnonymous || (tokens.api === null && tokens.metrics === null)) return true;
  const token = presentedToken((name) => request.headers[name] as string | undefined);
  return sameToken(token, tokens.api) || (path === "/metrics" && sameToken(token, tokens.metrics));
}

async function metrics(registry: Registry): Promise<Reply> {
  return { status: 200, type: registry.contentType, body: await registry.metrics() };
}

function readiness(reason: string | null): Reply {
  return reason === null ? json(200, { ok: true }) : failure(503, reason, { "retry-after": "1" });
}

function failure(status: number, text: string, headers?: Record<string, string>): Reply {
  return { ...json(status, { ok: false, error: text, detail: text }), ...(headers ? { headers } : {}) };
}

function json(status: number, body: object): Reply {
  return { status, type: "application/json", body: JSON.stringify(body) };
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body, headers }: Reply): void {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body), ...headers });
  response.end(request.method === "HEAD" ? undefined : body);
}

class CannotListen extends Error {
  override name = "CannotListen";
}
