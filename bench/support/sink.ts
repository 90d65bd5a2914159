import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { eventually } from "../../test/support/eventually.ts";

/** A mail server in a process of its own that takes everything. */
export type Sink = {
  /** What it is, for the table. */
  name: string;
  port: number;
  pid: number;
  /** Called for each message that it took; of Postfix's never. */
  onMessage: (message: Taken) => void;
  /** Connections so far; of Postfix's unknown. */
  connections(): number;
  close(): void;
};

export type Taken = { bytes: number /** Wall ms. */; dataAt: number; recipient: string };

export type OwnSinkOptions = { roundTripMs?: number; pipelining?: boolean };

const STARTS_WITHIN_MS = 20_000;

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Postfix's, which is the cheapest, where it is installed; else ours. */
export async function fastestSink(): Promise<Sink> {
  return (await postfixSink()) ?? (await ownSink());
}

/** bench/smtp-sink.ts, which can be far away and tells what it took. */
export async function ownSink({ roundTripMs = 0, pipelining = false }: OwnSinkOptions = {}): Promise<Sink> {
  const program = join(import.meta.dirname, "../smtp-sink.ts");
  const args = [program, "--round-trip", String(roundTripMs), ...(pipelining ? ["--pipelining"] : [])];
  const child = started(process.execPath, args);
  let port = 0;
  let connections = 0;
  let rest = "";
  const sink: Sink = {
    name: "bench/smtp-sink.ts",
    port,
    pid: child.pid ?? 0,
    onMessage: () => {},
    connections: () => connections,
    close,
  };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [kind, first, dataAt, recipient = ""] = line.split(" ");
      if (kind === "port") port = Number(first);
      else if (kind === "connection") connections += 1;
      else sink.onMessage({ bytes: Number(first), dataAt: Number(dataAt), recipient });
    }
  });
  sink.port = await eventually(() => port || undefined, STARTS_WITHIN_MS, "the sink's port");
  return sink;

  function close(): void {
    child.kill("SIGKILL");
  }
}

async function postfixSink(): Promise<Sink | null> {
  if (spawnSync("smtp-sink", ["-V"]).error !== undefined) return null;
  const port = await freePort();
  const user = process.getuid?.() === 0 ? ["-u", "nobody"] : []; // it refuses to run as root
  const child = started("smtp-sink", [...user, "-m", "1000", `127.0.0.1:${port}`, "1000"]);
  await eventually(() => accepts(port), STARTS_WITHIN_MS, "Postfix's smtp-sink");
  return {
    name: "Postfix's smtp-sink",
    port,
    pid: child.pid ?? 0,
    onMessage: () => {},
    connections: () => Number.NaN,
    close: () => void child.kill("SIGKILL"),
  };
}

function started(command: string, args: string[]): ChildProcess {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  running.add(child);
  child.on("close", () => running.delete(child));
  child.unref();
  (child.stdout as unknown as { unref(): void }).unref();
  return child;
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
    socket.on("data", () => socket.end("QUIT\r\n"));
  });
}
