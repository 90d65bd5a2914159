/**
 * A mail server that takes everything and keeps nothing, in a process of its own, so that it costs whoever measures
 * others next to nothing: bench/attachment-memory.ts starts it. Prints its port, and then for each message the octets
 * that came between DATA and the final dot:
 *
 *     node bench/smtp-sink.ts
 */
import { type AddressInfo, createServer, type Socket } from "node:net";

const END = Buffer.from("\r\n.\r\n");
const GREETING = "220 sink.example ESMTP\r\n";

const server = createServer((socket) => {
  socket.on("error", () => {}); // whoever hangs up
  socket.write(GREETING);
  socket.on("data", session(socket));
});
server.listen(0, "127.0.0.1", () => console.log(`port ${(server.address() as AddressInfo).port}`));

/** Reads commands line by line, and messages without looking into them. */
function session(socket: Socket): (chunk: Buffer) => void {
  let line = "";
  /** Octets so far; null: no message is coming. */
  let bytes: number | null = null;
  /** The last octets, in which the end may have begun. */
  let tail = Buffer.alloc(0);

  function readMessage(chunk: Buffer): Buffer {
    const seen = Buffer.concat([tail, chunk.subarray(0, END.length)]);
    const early = seen.indexOf(END);
    const found = early >= 0 ? early - tail.length : chunk.indexOf(END);
    if (early < 0 && found < 0) {
      bytes = (bytes ?? 0) + chunk.length;
      tail = Buffer.concat([tail, chunk.subarray(-END.length)]).subarray(-(END.length - 1));
      return Buffer.alloc(0);
    }
    console.log(`message ${(bytes ?? 0) + found}`);
    bytes = null;
    socket.write("250 2.0.0 taken\r\n");
    return chunk.subarray(found + END.length);
  }

  function readCommands(chunk: Buffer): Buffer {
    const end = chunk.indexOf("\n");
    line += chunk.toString("latin1", 0, end < 0 ? chunk.length : end);
    if (end < 0) return Buffer.alloc(0);
    answer(line.slice(0, 4).trim().toUpperCase());
    line = "";
    return chunk.subarray(end + 1);
  }

  function answer(command: string): void {
    if (command === "EHLO") socket.write("250-sink.example\r\n250-8BITMIME\r\n250 SIZE 104857600\r\n");
    else if (command === "DATA") {
      bytes = 0;
      tail = Buffer.alloc(0);
      socket.write("354 go on\r\n");
    } else if (command === "QUIT") socket.end("221 2.0.0 bye\r\n");
    else socket.write("250 2.0.0 ok\r\n");
  }

  return (chunk) => {
    for (let rest = chunk; rest.length > 0; ) rest = bytes === null ? readCommands(rest) : readMessage(rest);
  };
}
