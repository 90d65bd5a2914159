import { createServer } from "node:net";
import { chance } from "../support/random.ts";

/** Below those that the system gives to connections: an API that is started again must find it free. */
export async function freePort(): Promise<number> {
  const random = chance(String(process.pid), "port");
  for (;;) {
    const port = random.whole(20_000, 29_999);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  const free = await new Promise<boolean>((resolve) => {
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => resolve(true));
  });
  await new Promise((resolve) => probe.close(resolve));
  return free;
}
