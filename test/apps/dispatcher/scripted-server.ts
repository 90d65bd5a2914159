import { type AddressInfo, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { USUAL_REPLIES } from "../../support/usual-replies.ts";

/**
 * What a server says to a command, and to "connect"; undefined: nothing, for good. `cut` ends the connection instead.
 * Of a message that it asked for with 354 only the final dot is passed on.
 */
export type Says = (line: string, connection: number) => string | "cut" | undefined;

export type ScriptedServer = {
  port: number;
  /** Every line that came, of all connections. */
  lines: string[];
  sockets: Socket[];
  close(): Promise<void>;
};

/** A server that says exactly what a test wants, also what no real one would. */
export async function startScriptedServer(says: Says): Promise<ScriptedServer> {
  const lines: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    const connection = sockets.push(socket) - 1;
    let inData = false;
    const hear = (line: string) => {
      if (inData && line !== ".") return;
      const answer = says(line, connection);
      inData = answer?.startsWith("354") ?? false;
      if (answer === "cut") socket.destroy();
      else if (answer !== undefined && !socket.destroyed) socket.write(`${answer}\r\n`);
    };
    socket.on("error", () => {});
    // It passes its input's errors on.
    const incoming = createInterface({ input: socket }).on("error", () => {});
    incoming.on("line", (line) => {
      lines.push(line);
      hear(line);
    });
    hear("connect");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    lines,
    sockets,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

/** A server that agrees to everything, but for the steps that `otherwise` answers. */
export function agreeing(otherwise: Record<string, string | "cut" | "silence">): Says {
  return (line) => {
    const step = line.split(" ")[0] ?? "";
    const answer = otherwise[step] ?? USUAL[step];
    return answer === "silence" ? undefined : answer;
  };
}

const USUAL: Record<string, string> = {
  connect: "220 test ESMTP",
  EHLO: "250-test\r\n250 8BITMIME",
  ...USUAL_REPLIES,
};
