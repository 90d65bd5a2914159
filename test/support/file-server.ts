import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { eventually } from "./eventually.ts";

/** What the server does with one request; test/support/file-answers.ts has them. `count` is 1 for a path's first. */
export type FileAnswer = (request: IncomingMessage, response: ServerResponse, count: number) => void;

export type FileRequest = { path: string; headers: IncomingMessage["headers"] };

export type FileServer = {
  /** `http://127.0.0.1:1234`. */
  origin: string;
  /** With the port, as URLs have it. */
  host: string;
  url(path: string): string;
  /** By path, without query; replaceable at any time. What is not here is 404. */
  files: Record<string, FileAnswer>;
  /** All, in the order in which they came. */
  requests: FileRequest[];
  /** How often that path was asked for. */
  count(path: string): number;
  connections: { open: number; total: number };
  /** Resolves when no connection is open. */
  idle(deadlineMs?: number): Promise<unknown>;
  close(): Promise<void>;
};

export type FileServerOptions = {
  /** A loopback address; default 127.0.0.1. */
  host?: string;
  port?: number;
  /** https with the certificate for localhost and 127.0.0.1. */
  tls?: boolean;
};

/** A real web server on a loopback address that answers each path as its script says. */
export async function startFileServer(
  files: Record<string, FileAnswer> = {},
  { host = "127.0.0.1", port = 0, tls = false }: FileServerOptions = {},
): Promise<FileServer> {
  const requests: FileRequest[] = [];
  const connections = { open: 0, total: 0 };
  const answer: RequestListener = (request, response) => {
    const path = URL.parse(request.url ?? "", "http://any")?.pathname ?? "";
    requests.push({ path, headers: request.headers });
    // Whoever is cut off, or hangs up, is a case under test.
    response.on("error", () => {});
    const file = running.files[path];
    if (file === undefined) response.writeHead(404).end("no such file");
    else file(request, response, running.count(path));
  };
  // One file holds the key and the certificate.
  const pem = tls ? readFileSync(new URL("certificates/localhost.pem", import.meta.url)) : undefined;
  const server = tls ? createTlsServer({ key: pem, cert: pem }, answer) : createServer(answer);
  server.on("connection", (socket) => {
    connections.open += 1;
    connections.total += 1;
    socket.on("close", () => {
      connections.open -= 1;
    });
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, host, resolve));
  server.unref();
  const name = `${host.includes(":") ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`;
  const origin = `${tls ? "https" : "http"}://${name}`;

  const running: FileServer = {
    origin,
    host: name,
    url: (path) => `${origin}${path}`,
    files,
    requests,
    count: (path) => requests.filter((one) => one.path === path).length,
    connections,
    idle: (deadlineMs = 30_000) => eventually(() => connections.open === 0, deadlineMs, "the end of all connections"),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return running;
}
