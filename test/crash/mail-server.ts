import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Kill } from "./killer.ts";
import { createMailBook, type MailBook, type MailConnection } from "./mail-book.ts";
import { CALM_MESSAGE, CALM_SESSION, messagePlan, sessionPlan } from "./mail-faults.ts";
import { serveSession } from "./mail-session.ts";

export type MailServer = {
  book: MailBook;
  /** The port of each account, by its name: so the server knows whose a connection is. */
  ports: Map<string, number>;
  /** Behaves as it should from now on, until told otherwise. */
  calm: boolean;
  /** What befalls a dispatcher while it speaks to this server. */
  strike: (dispatcher: string, kill: Kill) => void;
  close(): Promise<void>;
};

/** A real SMTP server that misbehaves by chance at every step of its dialogue, and writes its own book. */
export async function startMailServer(seed: string, accounts: readonly string[]): Promise<MailServer> {
  const book = createMailBook();
  const sockets = new Set<Socket>();
  const server: MailServer = { book, ports: new Map(), calm: false, strike: () => {}, close };
  const listeners: Server[] = [];

  async function listen(account: string): Promise<void> {
    let number = 0;
    const listener = createServer((socket) => {
      number += 1;
      sockets.add(socket);
      const connection: MailConnection = { account, dispatcher: "", openedAt: Date.now(), closedAt: null };
      book.connections.push(connection);
      // How the other side ended is its own affair: it may just have been killed.
      socket.on("error", () => {});
      socket.on("close", () => {
        connection.closedAt = Date.now();
        sockets.delete(socket);
      });
      const plan = server.calm ? CALM_SESSION : sessionPlan(seed, account, number);
      const planOf = (id: string, attempt: number) =>
        server.calm ? CALM_MESSAGE : messagePlan(seed, account, id, attempt);
      const strike: MailServer["strike"] = (dispatcher, kill) => server.strike(dispatcher, kill);
      void serveSession(socket, { connection, plan, planOf, book, strike });
    });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    server.ports.set(account, (listener.address() as AddressInfo).port);
    listeners.push(listener);
  }

  async function close(): Promise<void> {
    for (const socket of sockets) socket.destroy();
    await Promise.all(listeners.map((one) => new Promise((resolve) => one.close(resolve))));
  }

  await Promise.all(accounts.map(listen));
  return server;
}
