import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hostsFile, parseHosts } from "@async-mail/runtime/hosts-file";
import { temporaryFolder } from "../../support/temporary-folder.ts";

test("a hosts file: addresses before names, comments behind them, and anything else is nothing", () => {
  const hosts = parseHosts(`
# 10.0.0.9 commented
127.0.0.1\tlocalhost Files.Example. files.example # 10.0.0.9 trailing
  ::1   localhost
10.0.0.1 db\r
10.0.0.2 db cache
fe80::1%lo0 localhost
not-an-address db
10.0.0.3
10.0.0 short`);
  assert.deepEqual(Object.fromEntries(hosts), {
    localhost: [
      { address: "127.0.0.1", family: 4 },
      { address: "::1", family: 6 },
    ],
    "files.example": [{ address: "127.0.0.1", family: 4 }],
    db: [
      { address: "10.0.0.1", family: 4 },
      { address: "10.0.0.2", family: 4 },
    ],
    cache: [{ address: "10.0.0.2", family: 4 }],
  });
});

test("a hosts file is read again when it has changed, and may be missing", async () => {
  const path = join(temporaryFolder(), "hosts");
  const inHosts = hostsFile(path);
  const addresses = async (host: string) => (await inHosts(host)).map(({ address }) => address);
  assert.deepEqual(await addresses("db"), []);
  writeFileSync(path, "10.0.0.1 db\n");
  assert.deepEqual(await addresses("DB."), ["10.0.0.1"]);
  writeFileSync(path, "10.0.0.1 db\n10.0.0.2 db\n");
  assert.deepEqual(await addresses("db"), ["10.0.0.1", "10.0.0.2"]);
  rmSync(path);
  assert.deepEqual(await addresses("db"), []);
});
