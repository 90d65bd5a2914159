import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { Hono } from "hono";
import type { Env } from "./deps.ts";

export type Listener = {
  url: string;
  /**
   * Waits for the requests in flight, at most until `deadline`, and closes. Until then it still answers, so that
   * /readyz can tell a load balancer why; the app turns new work away.
   */
  close(deadline: AbortSignal): Promise<void>;
};

/** Longer than clients and proxies keep an idle connection: if we closed first, their next request could meet the end of it. */
const KEEP_ALIVE_MS = 75_000;

export async function listen(app: Hono<Env>, { host, port }: { host: string; port: number }): Promise<Listener> {
  // Never more than http: without a `createServer` of another kind the adaptor makes a plain one.
  const server = createAdaptorServer({ fetch: app.fetch }) as import("node:http").Server;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  let inFlight = 0;
  let closing = false;
  let onIdle: () => void = () => {};

  server.on("request", (_incoming, outgoing) => {
    inFlight += 1;
    outgoing.once("close", () => {
      inFlight -= 1;
      if (!closing) return;
      // A connection whose answer was begun before the stop had promised to stay open.
      server.closeIdleConnections();
      if (inFlight === 0) onIdle();
    });
  });

  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenFault(error, host, port)));
    server.listen(port, host, resolve);
  });

  async function close(deadline: AbortSignal): Promise<void> {
    closing = true;
    server.closeIdleConnections();
    await new Promise<void>((resolve) => {
      onIdle = resolve;
      deadline.addEventListener("abort", () => resolve());
      if (inFlight === 0 || deadline.aborted) resolve();
    });
    server.close();
    server.closeAllConnections();
  }

  return { url: urlOf(server.address() as AddressInfo), close };
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}

class CannotListen extends Error {
  override name = "CannotListen";
}

function listenFault(error: NodeJS.ErrnoException, host: string, port: number): Error {
  if (error.code === "EADDRINUSE") {
    return new CannotListen(
      `server.port is ${port}, in use on ${host} by another program: stop it or choose another (PORT)`,
    );
  }
  return new CannotListen(`cannot listen on server.host ${host}, server.port ${port}: ${error.message}`, {
    cause: error,
  });
}
