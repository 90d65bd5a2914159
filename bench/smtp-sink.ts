/**
 * A mail server that takes everything and keeps nothing, in a process of its own, so that it costs whoever measures
 * others next to nothing. Prints its port, and then a line for each connection, and one for each message: the octets
 * between DATA and the final dot, when DATA was said (ms since the epoch), and the first recipient.
 *
 *     node bench/smtp-sink.ts
 *     node bench/smtp-sink.ts --round-trip 50 --pipelining
 *
 * `--round-trip`: milliseconds after which whatever arrives is read, as if the network took so long to and fro.
 */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: { "round-trip": { type: "string", default: "0" }, pipelining: { type: "boolean", default: false } },
});
const ROUND_TRIP_MS = Number(options["round-trip"]);
const EXTENSIONS = ["8BITMIME", ...(options.pipelining ? ["PIPELINING"] : []), "SIZE 104857600"];
const EHLO = ["sink.example", ...EXTENSIONS].map((text, i, all) => `250${i + 1 < all.length ? "-" : " "}${text}\r\n`);

const END = Buffer.from("\r\n.\r\n");
const GREETING = "220 sink.example ESMTP\r\n";
/** Lines are printed a few at a time: a write for each message would cost more than the message. */
const PRINT_MS = 10;

let lines = "";

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {}); // whoever hangs up
  tell("connection");
  const read = session(socket);
  afterRoundTrip(() => socket.write(GREETING));
  socket.on("data", (chunk: Buffer) => afterRoundTrip(() => read(chunk)));
});
server.listen(0, "127.0.0.1", () => console.log(`port ${(server.address() as AddressInfo).port}`));

function afterRoundTrip(action: () => void): void {
  if (ROUND_TRIP_MS > 0) setTimeout(action, ROUND_TRIP_MS);
  else action();
}

function tell(line: string): void {
  if (lines === "") {
    setTimeout(() => {
      process.stdout.write(lines);
      lines = "";
    }, PRINT_MS);
  }
  lines += `${line}\n`;
}

/** Reads commands line by line, and messages without looking into them. All answers to one chunk go out together. */
function session(socket: Socket): (chunk: Buffer) => void {
  let line = "";
  let answers = "";
  let recipient = "";
  let dataAt = 0;
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
    tell(`message ${(bytes ?? 0) + found} ${dataAt.toFixed(1)} ${recipient}`);
    bytes = null;
    recipient = "";
    answers += "250 2.0.0 taken\r\n";
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
    if (command === "EHLO") answers += EHLO.join("");
    else if (command === "DATA") {
      bytes = 0;
      tail = Buffer.alloc(0);
      dataAt = performance.timeOrigin + performance.now();
      answers += "354 go on\r\n";
    } else if (command === "QUIT") socket.end("221 2.0.0 bye\r\n");
    else {
      if (command === "RCPT") recipient ||= /<(.*?)>/.exec(line)?.[1] ?? "";
      answers += "250 2.0.0 ok\r\n";
    }
  }

  return (chunk) => {
    for (let rest = chunk; rest.length > 0; ) rest = bytes === null ? readCommands(rest) : readMessage(rest);
    if (answers !== "") socket.write(answers);
    answers = "";
  };
}
