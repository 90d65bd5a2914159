import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { keptToken, tokenFile } from "@async-mail/api/token";
import { apiClient } from "../../support/api-client.ts";
import { startProcess } from "../../support/processes.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const env = { API_TOKEN: "" };

test("without a configured token one is made at the first start, kept for the next, and never printed", async () => {
  const folder = temporaryFolder();
  const first = await startProcess("api", { folder, env });
  const url = await first.listening();
  const { file } = await first.logged("token_made");
  assert.equal(file, join(folder, "mail.db.token"));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const token = readFileSync(file, "utf8").trim();
  assert.match(token, /^[\w-]{43}$/);
  assert.equal((await apiClient(url, token).get("/status")).status, 200);
  assert.equal((await apiClient(url, null).get("/status")).status, 401);
  assert.equal((await apiClient(url, "").get("/status")).status, 401);
  await first.stop();
  assert.equal(`${first.stdout()}${first.stderr()}`.includes(token), false);

  const second = await startProcess("api", { folder, env });
  assert.equal((await apiClient(await second.listening(), token).get("/status")).status, 200);
  assert.equal(
    second.log.some(({ event }) => event === "token_made"),
    false,
  );
  await second.stop();

  rmSync(file);
  const third = await startProcess("api", { folder, env });
  await third.listening();
  assert.notEqual(readFileSync(file, "utf8").trim(), token);
  await third.stop();
});

test("a configured token leaves no file", async () => {
  const proc = await startProcess("api");
  await proc.listening();
  assert.equal(
    readdirSync(proc.folder).some((name) => name.includes("token")),
    false,
  );
  await proc.stop();
});

test("of many that start at once one makes the token of all", async () => {
  const dbPath = join(temporaryFolder(), "mail.db");
  const all = await Promise.all(Array.from({ length: 20 }, (_, i) => keptToken(dbPath, `${i}`.padStart(20, "0"))));
  assert.equal(new Set(all.map(({ token }) => token)).size, 1);
  assert.equal(all.filter(({ made }) => made).length, 1);
  assert.equal(readFileSync(tokenFile(dbPath), "utf8").trim(), all[0]?.token);
  assert.deepEqual(readdirSync(join(dbPath, "..")), ["mail.db.token"]);
});

test("an empty token file is refused by name", async () => {
  const dbPath = join(temporaryFolder(), "mail.db");
  writeFileSync(tokenFile(dbPath), "\n");
  await assert.rejects(keptToken(dbPath, "fresh"), /mail\.db\.token is empty, wanted: the API token/);
});
