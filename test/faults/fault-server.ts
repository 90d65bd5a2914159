import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import type { ServerScript } from "./fault-case.ts";
import { createReplies } from "./fault-replies.ts";
import { createSession, type Hearing, type Seen, type Transaction } from "./fault-session.ts";

export type FaultServer = Seen & {
  port: number;
  /** Begins to listen, on the port that it has had from the start. */
  listen(): Promise<void>;
  close(): Promise<void>;
};

/** A mail server as a case wants it: it agrees to everything but what its script says, and may do what no real one would. */
export async function startFaultServer(script: ServerScript): Promise<FaultServer> {
  const seen: Seen = { transactions: [] as Transaction[], commands: [] };
  const sockets = new Set<Socket>();
  const replies = createReplies(script);

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    socket.setNoDelay(true);
    const session = createSession({ replies, seen, secure: script.implicitTls ?? false, encrypt });
    if (script.implicitTls) encrypt(socket, session.hear, session.greet);
    else {
      socket.on("data", session.hear(socket));
      session.greet(socket);
    }
  });

  function encrypt(socket: Socket, hear: Hearing, ready?: (socket: Socket) => void): void {
    const encrypted = new TLSSocket(socket, { isServer: true, secureContext: contextOf(script.certificate) });
    encrypted.on("error", () => {});
    encrypted.on("data", hear(encrypted));
    encrypted.once("secure", () => ready?.(encrypted));
  }

  const port = script.closedAtFirst ? await portOfNobody(server) : await listening(server, 0);

  return {
    ...seen,
    port,
    listen: async () => void (await listening(server, port)),
    close: () => {
      for (const socket of sockets) socket.destroy();
      return server.listening ? closed(server) : Promise.resolve();
    },
  };
}

function contextOf(name = "localhost") {
  const folder = name === "self-signed" ? import.meta.dirname : `${import.meta.dirname}/../support/certificates`;
  const pem = readFileSync(`${folder}/${name}.pem`);
  return createSecureContext({ key: pem, cert: pem });
}

/** Below those that systems give out by themselves: no other server gets it meanwhile. */
async function portOfNobody(server: Server): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    try {
      await listening(server, port);
      await closed(server);
      return port;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    }
  }
}

function listening(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
