// Works on rings of keys from a process of its own: `make`, many of them in turn, `rotate`, one of them for ever.
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createKeyRing } from "@async-mail/runtime/key-ring";

const [work, folder = "", rounds] = process.argv.slice(2);
const ringOf = (name: string) =>
  createKeyRing({ configured: null, dbPath: join(folder, name), randomKey: () => randomBytes(32) });

function make(): void {
  console.log("ready");
  // All of them at once: a timer would spread them.
  const endMs = performance.now() + 60_000;
  while (!existsSync(join(folder, "go"))) if (performance.now() > endMs) throw new Error("nobody said go");
  const made = Array.from({ length: Number(rounds) }, (_, round) => ringOf(`${round}.db`).make().id);
  console.log(JSON.stringify(made));
}

function rotate(): void {
  const ring = ringOf("mail.db");
  const first = ring.newest()?.id;
  for (;;) {
    const { id } = ring.add();
    ring.drop(ring.ids().filter((one) => one !== first && one !== id));
    console.log(id);
  }
}

if (work === "make") make();
else rotate();
