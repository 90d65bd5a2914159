import { spawn, spawnSync } from "node:child_process";
import { connect } from "node:net";
import { eventually } from "../../test/support/eventually.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { freePort } from "./sink.ts";

export type Redis = { port: number; pid: number; close(): void };

/** A Redis that keeps what it takes as its manual advises (appendonly, synced every second); null: not installed here. */
export async function startRedis(): Promise<Redis | null> {
  if (spawnSync("redis-server", ["--version"]).error !== undefined) return null;
  const port = await freePort();
  const options = ["--bind", "127.0.0.1", "--port", String(port), "--dir", temporaryFolder(), "--save", ""];
  const durable = ["--appendonly", "yes", "--appendfsync", "everysec"];
  const child = spawn("redis-server", [...options, ...durable], { stdio: "ignore" });
  const kill = () => void child.kill("SIGKILL");
  process.on("exit", kill);
  await eventually(() => answers(port), 20_000, "Redis");
  return { port, pid: child.pid ?? 0, close: kill };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => {
      socket.end();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
