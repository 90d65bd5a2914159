import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { openStore } from "@async-mail/db/sqlite/open";
import Database from "better-sqlite3";
import { keysBeside } from "../support/database.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const OFF_NORMAL_FULL = ["off", "normal", "full"];

/** SQLite keeps the setting in the connection, where no other can see it. */
async function syncedHow(t: { after(done: () => Promise<void>): void }, synchronous: "full" | "normal") {
  const connections = new Set<Database.Database>();
  const { pragma } = Database.prototype;
  Database.prototype.pragma = function (this: Database.Database, ...given) {
    connections.add(this);
    return pragma.apply(this, given);
  };
  const boot = { bootId: "boot", monotonicMs: 0, wallMs: 0 };
  const path = join(temporaryFolder(), "mail.db");
  const store = await openStore({ path, synchronous, sandbox: false, keys: keysBeside(path), boot });
  Database.prototype.pragma = pragma;
  t.after(() => store.close());
  const settings = [...connections]
    .filter(({ open }) => open)
    .map((one) => one.pragma("synchronous", { simple: true }));
  return settings.map((setting) => OFF_NORMAL_FULL[Number(setting)]);
}

test("every commit is synced before it is answered, unless the operator wants less", async (t) => {
  assert.deepEqual(await syncedHow(t, "full"), ["full"]);
  assert.deepEqual(await syncedHow(t, "normal"), ["normal"]);
});
