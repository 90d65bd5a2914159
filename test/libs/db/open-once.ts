import { openedAt } from "../../support/database.ts";

/** Opens the store at argv[2] and writes once: what each of ten processes does in open.test.ts. */
const boot = { bootId: "boot", monotonicMs: 1_000, wallMs: 1_800_000_000_000 };
const store = await openedAt(process.argv[2]!, boot);
const now = { wallMs: boot.wallMs, steadyMs: boot.wallMs };
const process_ = await store.processes.register({ kind: "dispatcher", pid: process.pid, host: "h", version: "1" }, now);
await store.processes.leave(process_, now);
await store.close();
console.log("ok");
